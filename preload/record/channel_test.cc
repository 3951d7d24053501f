// The channel's file: what it holds from the start, and where it is refused.
#include "preload/record/channel.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "native/wire/heap.h"
#include "test/native/private_folder.h"

namespace offheap::record {
namespace {

namespace fs = std::filesystem;
using test::PrivateFolder;
using wire::Header;

bool can_create_in(const std::string& path) {
    Channel channel;
    return channel.create(PrivateFolder::configuration_for(path), Parent());
}

std::string text_at(const Channel& channel, uint32_t offset) {
    const auto* entry =
        reinterpret_cast<const uint8_t*>(channel.address() + channel.header()->text_offset + offset);
    return {reinterpret_cast<const char*>(entry + 2), static_cast<size_t>(entry[0] | entry[1] << 8)};
}

bool is_degraded(const Channel& channel, wire::Degradation reason) {
    return (channel.header()->degraded >> static_cast<unsigned>(reason) & 1) != 0;
}

size_t entries(const fs::path& folder) {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(Channel, is_one_private_file_named_by_process_and_id) {
    const PrivateFolder folder;
    Channel channel;
    ASSERT_TRUE(channel.create(folder.configuration(), Parent()));
    ASSERT_EQ(entries(folder.path()), 1u);
    const fs::path file = fs::directory_iterator(folder.path())->path();
    const std::string name = file.filename();
    const std::string process = std::to_string(getpid()) + "-";
    ASSERT_EQ(name.size(), process.size() + 16 + strlen(".channel")) << name;
    EXPECT_TRUE(name.starts_with(process) && name.ends_with(".channel")) << name;
    EXPECT_EQ(std::stoull(name.substr(process.size(), 16), nullptr, 16), channel.header()->channel_id);
    struct stat info;
    ASSERT_EQ(stat(file.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u);
    EXPECT_EQ(static_cast<uint64_t>(info.st_size), channel.header()->file_bytes);
}

TEST(Channel, says_who_it_is) {
    const PrivateFolder folder;
    Channel channel;
    ASSERT_TRUE(channel.create(folder.configuration(), {true, 77, 88}));
    const Header* header = channel.header();
    EXPECT_EQ(header->magic, wire::kMagic);
    EXPECT_EQ(header->layout_hash, wire::layout_hash());
    EXPECT_STREQ(reinterpret_cast<const char*>(&header->version0), wire::kVersion);
    EXPECT_EQ(header->process_id, static_cast<uint32_t>(getpid()));
    EXPECT_EQ(header->parent_process_id, static_cast<uint32_t>(getppid()));
    EXPECT_EQ(header->beginning, static_cast<uint32_t>(wire::Beginning::kFork));
    EXPECT_EQ(header->parent_channel_id, 77u);
    EXPECT_EQ(header->parent_position, 88u);
    std::ifstream stat_file("/proc/self/stat");
    const std::string line(std::istreambuf_iterator<char>(stat_file), {});
    std::istringstream rest(line.substr(line.rfind(')') + 2));
    std::string field;
    for (int i = 3; i <= 22; ++i) rest >> field;
    EXPECT_EQ(std::to_string(header->process_start_ticks), field);
    std::ifstream command("/proc/self/cmdline");
    EXPECT_EQ(text_at(channel, header->command_text),
              std::string(std::istreambuf_iterator<char>(command), {}));
}

TEST(Channel, begins_without_a_parent_when_executed) {
    const PrivateFolder folder;
    Channel channel;
    ASSERT_TRUE(channel.create(folder.configuration(), Parent()));
    EXPECT_EQ(channel.header()->beginning, static_cast<uint32_t>(wire::Beginning::kExec));
    EXPECT_EQ(channel.header()->parent_channel_id, 0u);
}

TEST(Channel, has_sections_that_do_not_overlap) {
    const PrivateFolder folder;
    for (const uint64_t ring_events : {64u, 1024u, 65536u}) {
        Channel channel;
        ASSERT_TRUE(channel.create(folder.configuration(ring_events), Parent()));
        const Header* header = channel.header();
        EXPECT_EQ(header->ring_capacity, ring_events);
        struct Section {
            uint64_t offset, bytes;
        };
        std::vector<Section> sections = {
            {0, sizeof(Header)},
            {header->sites_offset, header->sites_capacity * sizeof(wire::Site)},
            {header->text_offset, header->text_capacity},
            {header->ring_offset, header->ring_capacity * sizeof(wire::Event)},
            {header->index_offset, header->index_capacity * sizeof(uint32_t)},
            {header->nodes_offset, header->nodes_capacity * sizeof(wire::StackNode)},
            {header->backlog_offset, header->backlog_capacity * sizeof(wire::Event)},
            {header->lanes_offset, header->lanes_capacity * sizeof(wire::Lane)},
            {header->windows_offset, header->lanes_capacity * wire::kWindowBytes},
            {header->chunks_offset, header->chunks_capacity * wire::kChunkBytes},
            {header->file_bytes, 0}};
        std::sort(sections.begin(), sections.end(), [](auto& a, auto& b) { return a.offset < b.offset; });
        for (size_t i = 1; i < sections.size(); ++i) {
            EXPECT_GE(sections[i].offset, sections[i - 1].offset + sections[i - 1].bytes) << i;
            EXPECT_EQ(sections[i].offset % 8, 0u);
        }
        EXPECT_EQ(header->index_capacity & (header->index_capacity - 1), 0u) << "it is masked";
        EXPECT_GE(header->index_capacity, 2 * header->nodes_capacity) << "for the last era";
        EXPECT_LE(2ULL << header->index_bits, header->index_capacity);
    }
}

TEST(Channel, keeps_no_descriptor) {
    const PrivateFolder folder;
    const size_t before = entries("/proc/self/fd");
    Channel channel;
    ASSERT_TRUE(channel.create(folder.configuration(65536), Parent()));
    EXPECT_TRUE(channel.reserve_ring(60'000));
    EXPECT_EQ(entries("/proc/self/fd"), before);
}

TEST(Channel, makes_its_folder) {
    const PrivateFolder parent;
    const std::string path = parent.path() + "/new";
    EXPECT_TRUE(can_create_in(path));
    struct stat info;
    ASSERT_EQ(stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST(Channel, is_refused_where_others_may_write) {
    for (const mode_t mode : {0770, 0707, 0777, 01777, 0720, 0702}) {
        const PrivateFolder folder;
        ASSERT_EQ(chmod(folder.path().c_str(), mode), 0);
        EXPECT_FALSE(can_create_in(folder.path())) << std::oct << mode;
        EXPECT_EQ(entries(folder.path()), 0u);
    }
    const PrivateFolder readable;
    ASSERT_EQ(chmod(readable.path().c_str(), 0755), 0);
    EXPECT_TRUE(can_create_in(readable.path()));
}

TEST(Channel, is_refused_in_anything_but_a_folder_of_ours) {
    const PrivateFolder folder;
    fs::create_directory(folder.path() + "/real");
    fs::permissions(folder.path() + "/real", fs::perms::owner_all);
    fs::create_directory_symlink("real", folder.path() + "/link");
    std::ofstream(folder.path() + "/file") << "x";
    EXPECT_FALSE(can_create_in(folder.path() + "/link"));
    EXPECT_FALSE(can_create_in(folder.path() + "/file"));
    EXPECT_FALSE(can_create_in(folder.path() + "/missing/folder"));
    EXPECT_FALSE(can_create_in(""));
    EXPECT_EQ(entries(folder.path() + "/real"), 0u);
    EXPECT_TRUE(can_create_in(folder.path() + "/real"));
}

TEST(Channel, is_refused_in_a_folder_of_another_user) {
    if (geteuid() != 0) GTEST_SKIP() << "needs root, to give a folder away";
    const PrivateFolder folder;
    ASSERT_EQ(chown(folder.path().c_str(), 12345, 12345), 0);
    EXPECT_FALSE(can_create_in(folder.path()));
}

TEST(Channel, is_refused_where_its_name_would_be_cut) {
    const PrivateFolder folder;
    std::string path = folder.path();
    while (path.size() < 230) {
        path += "/0123456789";
        fs::create_directory(path);
        fs::permissions(path, fs::perms::owner_all);
    }
    EXPECT_TRUE(can_create_in(path)) << "the longest folder that the configuration holds";
}

TEST(Channel, is_not_passed_on_to_a_forked_child) {
    const PrivateFolder folder;
    Channel channel;
    ASSERT_TRUE(channel.create(folder.configuration(), Parent()));
    const pid_t child = fork();
    if (child == 0) {
        const int result = msync(reinterpret_cast<void*>(channel.address()), 4096, MS_ASYNC);
        _exit(result == -1 && errno == ENOMEM ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(Channel, backs_sections_as_they_fill) {
    const PrivateFolder folder;
    Channel channel;
    ASSERT_TRUE(channel.create(folder.configuration(65536), Parent()));
    Header* header = channel.header();
    const uint64_t first = header->ring_reserved;
    ASSERT_LT(first, header->ring_capacity * sizeof(wire::Event));
    EXPECT_TRUE(channel.reserve_ring(0));
    EXPECT_EQ(header->ring_reserved, first) << "it is there already";
    EXPECT_TRUE(channel.reserve_ring(first / sizeof(wire::Event)));
    EXPECT_GT(header->ring_reserved, first);
    for (uint64_t slot = 0; slot < header->backlog_capacity; slot += 64)
        ASSERT_TRUE(channel.reserve_backlog(slot));
    EXPECT_TRUE(channel.reserve_backlog(header->backlog_capacity - 1));
    memset(reinterpret_cast<uint8_t*>(header) + header->backlog_offset, 0xff,
           header->backlog_capacity * sizeof(wire::Event));
    EXPECT_EQ(header->degraded, 0u);
}

TEST(ChannelForHeapEvents, has_all_its_chunks_free) {
    const PrivateFolder folder;
    for (const uint32_t chunks : {1u, 3u, 64u, 100u, 4096u, 1u << 20}) {
        auto configuration = folder.configuration();
        configuration.heap_chunks = chunks;
        Channel channel;
        ASSERT_TRUE(channel.create(configuration, Parent()));
        Header* header = channel.header();
        const uint64_t expected = std::min<uint64_t>(chunks, wire::kMostChunks);
        ASSERT_EQ(header->chunks_capacity, expected);
        for (uint32_t chunk = 0; chunk < expected; ++chunk) ASSERT_EQ(wire::take_chunk(header), chunk);
        EXPECT_EQ(wire::take_chunk(header), wire::kNoChunk);
        EXPECT_EQ(header->degraded, 0u);
    }
}

TEST(ChannelForHeapEvents, backs_chunks_some_at_a_time) {
    const PrivateFolder folder;
    auto configuration = folder.configuration();
    configuration.heap_chunks = 40;
    Channel channel;
    ASSERT_TRUE(channel.create(configuration, Parent()));
    Header* header = channel.header();
    EXPECT_EQ(header->chunks_backed, 0u);
    EXPECT_TRUE(channel.reserve_chunk(0));
    EXPECT_EQ(header->chunks_backed, 16u);
    EXPECT_TRUE(channel.reserve_chunk(15));
    EXPECT_EQ(header->chunks_backed, 16u);
    EXPECT_TRUE(channel.reserve_chunk(39));
    EXPECT_EQ(header->chunks_backed, 40u) << "not further than there are any";
    memset(wire::chunk_at(header, 0), 0xff, 40 * wire::kChunkBytes);
}

TEST(ChannelForHeapEvents, backs_lanes_again_and_from_several_threads) {
    const PrivateFolder folder;
    Channel channel;
    ASSERT_TRUE(channel.create(folder.configuration(), Parent()));
    Header* header = channel.header();
    ASSERT_EQ(header->lanes_capacity, 16384u);
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&channel, header] {
            for (uint32_t lane = 0; lane < 300; ++lane) {
                ASSERT_TRUE(channel.reserve_lane(lane % 100));
                ASSERT_TRUE(channel.reserve_chunk(lane));
                __atomic_store_n(&wire::lane_at(header, lane % 100)->head, 1, __ATOMIC_RELAXED);
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(header->chunks_backed, 304u);
    ASSERT_TRUE(channel.reserve_lane(16383));
    memset(wire::window_of(header, 16383), 0xff, wire::kWindowBytes);
    wire::lane_at(header, 16383)->head = 1;
    EXPECT_EQ(wire::lane_at(header, 5)->head, 1u);
}

TEST(Channel, is_left_out_of_core_files) {
    const PrivateFolder folder;
    Channel channel;
    ASSERT_TRUE(channel.create(folder.configuration(), Parent()));
    std::ifstream maps("/proc/self/smaps");
    std::ostringstream start;
    start << std::hex << channel.address() << '-';
    bool inside = false, found = false;
    for (std::string line; std::getline(maps, line);) {
        if (line.rfind(start.str(), 0) == 0) inside = true;
        if (!inside || line.rfind("VmFlags:", 0) != 0) continue;
        found = line.find(" dd") != std::string::npos;
        break;
    }
    EXPECT_TRUE(found);
}

TEST(ChannelTexts, are_stored_with_their_length) {
    const PrivateFolder folder;
    Channel channel;
    ASSERT_TRUE(channel.create(folder.configuration(), Parent()));
    const uint32_t first = channel.add_text("abc", 3);
    const uint32_t second = channel.add_text("", 0);
    const uint32_t third = channel.add_text("a\0b", 3);
    EXPECT_NE(first, 0u);
    EXPECT_EQ(text_at(channel, first), "abc");
    EXPECT_EQ(text_at(channel, second), "");
    EXPECT_EQ(text_at(channel, third), std::string("a\0b", 3));
    const std::string long_text(70'000, 'x');
    EXPECT_EQ(text_at(channel, channel.add_text(long_text.data(), long_text.size())).size(), 0xffffu);
}

TEST(ChannelTexts, end_with_their_table) {
    const PrivateFolder folder;
    Channel channel;
    ASSERT_TRUE(channel.create(folder.configuration(), Parent()));
    const std::string text(10'000, 'y');
    uint64_t end = 0;
    uint32_t stored = 0;
    for (uint32_t offset; (offset = channel.add_text(text.data(), text.size())) != 0; ++stored) {
        end = offset + 2 + text.size();
        ASSERT_LE(end, channel.header()->text_capacity);
        ASSERT_FALSE(is_degraded(channel, wire::Degradation::kTextSpaceExhausted));
    }
    EXPECT_GE(stored, 100u);
    EXPECT_TRUE(is_degraded(channel, wire::Degradation::kTextSpaceExhausted));
}

}  // namespace
}  // namespace offheap::record
