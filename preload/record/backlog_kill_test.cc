// A target may be killed at any instruction of a compaction: what a reader then finds must mean the same as
// before.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "preload/record/backlog.h"
#include "test/native/channel_reader.h"
#include "test/native/history.h"
#include "test/native/page_map.h"
#include "test/native/private_folder.h"

namespace offheap::record {
namespace {

using test::kFirstBreak;
using test::PageMap;
using wire::Header;

// Fills the channel up to the point where the next compaction squeezes: a backlog with gaps and little room,
// and a full ring.
void prepare(Channel& channel) {
    test::History history(channel, 1);
    const auto place = [](uint64_t i) { return 0x100 + i * 8; };
    uint64_t next = 0;
    while (channel.header()->backlog_used < 180) history.map(place(next++), 3);
    for (uint64_t i = 10; i < 150; i += 1 + i % 3) {
        history.unmap(place(i), 3);
        if (i % 4 == 0) history.map(place(i), 2);
    }
    while (channel.header()->backlog_used < 215) history.map(place(next++), 3);
    const Header* header = channel.header();
    while (header->ring_head - header->ring_tail < header->ring_capacity) history.map(place(next++), 3);
}

// The child stops when its channel is prepared, then compacts.
void compact_in_child(const std::string& folder) {
    Channel channel;
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(3);
    if (!channel.create(test::PrivateFolder::configuration_for(folder, 64), Parent())) _exit(4);
    channel.header()->backlog_capacity = 256;
    prepare(channel);
    raise(SIGSTOP);
    OwnedRange own;
    const Compaction outcome = compact(channel, &own);
    _exit(outcome == Compaction::kMadeRoom ? 0 : 5);
}

Header* map_only_channel(const std::string& folder, uint64_t* bytes) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        const int fd = open(entry.path().c_str(), O_RDONLY);
        *bytes = std::filesystem::file_size(entry.path());
        void* address = mmap(nullptr, *bytes, PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
        return address == MAP_FAILED ? nullptr : static_cast<Header*>(address);
    }
    return nullptr;
}

PageMap replay(Header* header) {
    PageMap pages(kFirstBreak);
    for (const wire::Event& event : test::recorded_events(header)) pages.apply(event);
    return pages;
}

// All that a compaction changes and a reader looks at.
struct Look {
    explicit Look(const Header* header)
        : used(header->backlog_used),
          position(header->backlog_position),
          tail(header->ring_tail),
          backlog(test::backlog_of(header), test::backlog_of(header) + header->backlog_used) {}
    bool operator==(const Look& other) const {
        return used == other.used && position == other.position && tail == other.tail &&
               memcmp(backlog.data(), other.backlog.data(), used * sizeof(wire::Event)) == 0;
    }
    uint64_t used, position, tail;
    std::vector<wire::Event> backlog;
};

TEST(BacklogKill, loses_nothing_at_any_instruction) {
    test::PrivateFolder folder;
    const pid_t child = fork();
    if (child == 0) compact_in_child(folder.path());
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 3)
        GTEST_SKIP() << "needs permission to trace a child (ptrace)";
    ASSERT_TRUE(WIFSTOPPED(status)) << status;

    uint64_t bytes = 0;
    Header* header = map_only_channel(folder.path(), &bytes);
    ASSERT_NE(header, nullptr);
    const PageMap expected = replay(header);
    const uint64_t used_before = header->backlog_used;
    Look seen(header);
    uint64_t changes = 0;
    uint64_t smallest = used_before;
    for (;;) {
        ASSERT_EQ(ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr), 0);
        ASSERT_EQ(waitpid(child, &status, 0), child);
        if (!WIFSTOPPED(status)) break;
        Look look(header);
        if (look == seen) continue;
        seen = std::move(look);
        ++changes;
        smallest = std::min(smallest, seen.used);
        if (replay(header).pages() == expected.pages()) continue;
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        FAIL() << "after change " << changes << " a reader would find other memory";
    }
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    EXPECT_GT(changes, 500u) << "the compaction must have been watched word by word";
    EXPECT_LT(smallest, used_before) << "it must have squeezed";
    EXPECT_EQ(replay(header).pages(), expected.pages());
    munmap(header, bytes);
}

}  // namespace
}  // namespace offheap::record
