// What the environment asks for, and what it asks for in vain.
#include "preload/runtime/configuration.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace offheap::runtime {
namespace {

Configuration read(std::vector<std::string> entries) {
    std::vector<char*> environment;
    for (std::string& entry : entries) environment.push_back(entry.data());
    environment.push_back(nullptr);
    return read_configuration(environment.data());
}

TEST(Configuration, has_defaults) {
    const Configuration configuration = read({"PATH=/bin", "HOME=/root"});
    EXPECT_FALSE(configuration.disabled);
    EXPECT_TRUE(configuration.rewrite_sites);
    EXPECT_TRUE(configuration.capture_stacks);
    EXPECT_TRUE(configuration.python_frames);
    EXPECT_FALSE(configuration.emit_start_marker);
    EXPECT_EQ(configuration.request_signal, 0);
    EXPECT_EQ(configuration.ring_events, 1u << 16);
    EXPECT_EQ(configuration.directory, "/dev/shm/offheap-" + std::to_string(getuid()));
    EXPECT_STREQ(configuration.scan_prefixes, "libucm,libtcmalloc,liburing");
}

TEST(Configuration, needs_no_environment) { EXPECT_FALSE(read_configuration(nullptr).disabled); }

TEST(Configuration, is_disabled_by_anything_but_zero) {
    EXPECT_TRUE(read({"OFFHEAP_DISABLE=1"}).disabled);
    EXPECT_TRUE(read({"OFFHEAP_DISABLE=yes"}).disabled);
    EXPECT_FALSE(read({"OFFHEAP_DISABLE=0"}).disabled);
    EXPECT_FALSE(read({"OFFHEAP_DISABLE="}).disabled);
}

TEST(Configuration, takes_the_folder) {
    EXPECT_STREQ(read({"OFFHEAP_DIR=/tmp/x"}).directory, "/tmp/x");
    EXPECT_STRNE(read({"OFFHEAP_DIR="}).directory, "") << "an empty one is none";
}

// Cut short, it would be another folder: perhaps somebody else's.
TEST(Configuration, keeps_within_the_folder_s_room) {
    const std::string long_name = "/" + std::string(600, 'x');
    const Configuration configuration = read({"OFFHEAP_DIR=" + long_name});
    EXPECT_LT(std::string(configuration.directory).size(), sizeof configuration.directory);
}

TEST(Configuration, switches_parts_off) {
    EXPECT_FALSE(read({"OFFHEAP_SITES=off"}).rewrite_sites);
    EXPECT_TRUE(read({"OFFHEAP_SITES=on"}).rewrite_sites);
    EXPECT_FALSE(read({"OFFHEAP_STACKS=off"}).capture_stacks);
    EXPECT_TRUE(read({"OFFHEAP_STACKS=of"}).capture_stacks);
    EXPECT_FALSE(read({"OFFHEAP_PYTHON=off"}).python_frames);
    EXPECT_TRUE(read({"OFFHEAP_PYTHON=3"}).python_frames);
    EXPECT_TRUE(read({"OFFHEAP_MARK=1"}).emit_start_marker);
    EXPECT_FALSE(read({"OFFHEAP_MARK=0"}).emit_start_marker);
}

TEST(Configuration, knows_signals_by_name_and_number) {
    EXPECT_EQ(read({"OFFHEAP_SIGNAL=USR2"}).request_signal, SIGUSR2);
    EXPECT_EQ(read({"OFFHEAP_SIGNAL=SIGUSR1"}).request_signal, SIGUSR1);
    EXPECT_EQ(read({"OFFHEAP_SIGNAL=HUP"}).request_signal, SIGHUP);
    EXPECT_EQ(read({"OFFHEAP_SIGNAL=URG"}).request_signal, SIGURG);
    EXPECT_EQ(read({"OFFHEAP_SIGNAL=34"}).request_signal, 34);
    EXPECT_EQ(read({"OFFHEAP_SIGNAL=0"}).request_signal, 0);
    EXPECT_EQ(read({"OFFHEAP_SIGNAL=65"}).request_signal, 0);
    EXPECT_EQ(read({"OFFHEAP_SIGNAL=4294967306"}).request_signal, 0);
    EXPECT_EQ(read({"OFFHEAP_SIGNAL=usr2"}).request_signal, 0);
    EXPECT_EQ(read({"OFFHEAP_SIGNAL="}).request_signal, 0);
}

TEST(Configuration, takes_scan_prefixes_and_limit) {
    const Configuration configuration = read({"OFFHEAP_SCAN=liba,libb", "OFFHEAP_SCAN_LIMIT_BYTES=0x1000"});
    EXPECT_STREQ(configuration.scan_prefixes, "liba,libb");
    EXPECT_EQ(configuration.scan_limit_bytes, 4096u);
    EXPECT_STREQ(read({"OFFHEAP_SCAN="}).scan_prefixes, "");
    EXPECT_EQ(read({"OFFHEAP_SCAN_LIMIT_BYTES=12MB"}).scan_limit_bytes, 64u << 20);
    EXPECT_EQ(read({"OFFHEAP_SCAN_LIMIT_BYTES=0"}).scan_limit_bytes, 0u);
}

TEST(Configuration, rounds_the_ring_down_to_a_power_of_two) {
    EXPECT_EQ(read({"OFFHEAP_RING_EVENTS=64"}).ring_events, 64u);
    EXPECT_EQ(read({"OFFHEAP_RING_EVENTS=127"}).ring_events, 64u);
    EXPECT_EQ(read({"OFFHEAP_RING_EVENTS=0x400"}).ring_events, 1024u);
    EXPECT_EQ(read({"OFFHEAP_RING_EVENTS=4194304"}).ring_events, 1u << 22);
}

TEST(Configuration, ignores_ring_sizes_that_make_no_sense) {
    for (const char* value :
         {"63", "0", "4194305", "-1", "", "many", "1e6", "0x", "99999999999999999999999999"}) {
        EXPECT_EQ(read({std::string("OFFHEAP_RING_EVENTS=") + value}).ring_events, 1u << 16) << value;
    }
}

TEST(Configuration, does_not_take_one_name_for_another) {
    const Configuration configuration =
        read({"OFFHEAP_DISABLED=1", "OFFHEAP_DIRECTORY=/tmp/x", "OFFHEAP_DISABLE", "XOFFHEAP_DISABLE=1",
              "OFFHEAP_", "OFFHEAP_RING_EVENTS_X=64"});
    EXPECT_FALSE(configuration.disabled);
    EXPECT_STRNE(configuration.directory, "/tmp/x");
    EXPECT_EQ(configuration.ring_events, 1u << 16);
}

TEST(Configuration, lets_the_later_entry_win) {
    EXPECT_STREQ(read({"OFFHEAP_DIR=/a", "OFFHEAP_DIR=/b"}).directory, "/b");
}

TEST(MatchesPrefix, compares_with_each_prefix) {
    EXPECT_TRUE(matches_prefix("libucm,liburing", "libucm.so.0"));
    EXPECT_TRUE(matches_prefix("libucm,liburing", "liburing.so"));
    EXPECT_TRUE(matches_prefix("libucm", "libucm"));
    EXPECT_FALSE(matches_prefix("libucm,liburing", "libuc.so"));
    EXPECT_FALSE(matches_prefix("libucm,liburing", "xlibucm.so"));
    EXPECT_FALSE(matches_prefix("", "libucm.so"));
    EXPECT_FALSE(matches_prefix(",,", "libucm.so")) << "an empty prefix matches nothing";
    EXPECT_TRUE(matches_prefix(",libucm,", "libucm.so"));
    EXPECT_FALSE(matches_prefix("libucm", ""));
}

}  // namespace
}  // namespace offheap::runtime
