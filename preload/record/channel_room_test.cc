// The channel where there is little room: on small and full file systems, under resource limits.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "native/wire/heap.h"
#include "preload/record/channel.h"
#include "preload/record/emit.h"
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

bool is_degraded(const Channel& channel, wire::Degradation reason) {
    return (channel.header()->degraded >> static_cast<unsigned>(reason) & 1) != 0;
}

size_t entries(const fs::path& folder) {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

// Runs `body` in a child: the limits that it sets are the child's alone.
void in_child(const std::function<int()>& body) {
    const pid_t child = fork();
    if (child == 0) _exit(body());
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

void limit(__rlimit_resource_t resource, uint64_t bytes) {
    const struct rlimit value = {bytes, bytes};
    setrlimit(resource, &value);
}

uint64_t mapped_bytes() {
    uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    return pages * wire::kPageBytes;
}

// Whoever passes this limit is sent SIGXFSZ, which ends a program.
TEST(ChannelUnderLimits, has_a_file_that_is_allowed) {
    for (const uint64_t megabytes : {100u, 20u, 5u, 2u}) {
        const PrivateFolder folder;
        in_child([&folder, megabytes] {
            limit(RLIMIT_FSIZE, megabytes << 20);
            Channel channel;
            if (!channel.create(folder.configuration(65536), Parent())) return 1;
            const Header* header = channel.header();
            if (header->file_bytes > megabytes << 20) return 2;
            const bool has_heap = header->chunks_capacity >= 16 && header->lanes_capacity >= 16;
            if (has_heap == is_degraded(channel, wire::Degradation::kHeapUnavailable)) return 3;
            return has_heap == (megabytes > 2) ? 0 : 4;
        });
    }
    const PrivateFolder folder;
    in_child([&folder] {
        limit(RLIMIT_FSIZE, 4096);
        if (can_create_in(folder.path())) return 1;
        return entries(folder.path()) == 0 ? 0 : 2;
    });
}

TEST(ChannelUnderLimits, leaves_the_program_its_addresses) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "the sanitizer itself needs the addresses";
#endif
    const PrivateFolder folder;
    in_child([&folder] {
        const uint64_t allowed = mapped_bytes() + (512u << 20);
        limit(RLIMIT_AS, allowed);
        Channel channel;
        if (!channel.create(folder.configuration(65536), Parent())) return 1;
        if (channel.bytes() > allowed / 8) return 2;
        return channel.header()->chunks_capacity > 0 ? 0 : 3;
    });
    in_child([&folder] {
        limit(RLIMIT_AS, mapped_bytes() + (64u << 20));
        // The limit allows much, but little is left.
        constexpr uint64_t kBlock = 4u << 20;
        void* last = nullptr;
        for (void* block = nullptr; block != MAP_FAILED; last = block) {
            block = mmap(nullptr, kBlock, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (block == MAP_FAILED) break;
        }
        munmap(last, kBlock);
        Channel channel;
        if (!channel.create(folder.configuration(1024), Parent())) return 1;
        return channel.bytes() < 2 * kBlock ? 0 : 2;
    });
}

// Runs `body` in a child where /mnt is a shared-memory file system of `bytes`. True: the child lived and
// `body` returned 0. Skips the test where that is not allowed.
void on_small_file_system(const char* size, const std::function<int()>& body) {
    constexpr int kRefused = 99;
    const pid_t child = fork();
    if (child == 0) {
        const bool mounted = unshare(CLONE_NEWNS) == 0 &&
                             mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                             mount("tmpfs", "/mnt", "tmpfs", 0, size) == 0;
        _exit(mounted ? body() : kRefused);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == kRefused) GTEST_SKIP() << "needs root, to mount a tmpfs";
    EXPECT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(ChannelOnFullFileSystem, is_refused_and_leaves_nothing) {
    on_small_file_system("size=64k", [] {
        if (can_create_in("/mnt/offheap")) return 1;
        return entries("/mnt/offheap") == 0 ? 0 : 2;
    });
}

// Until all of it is full, through every section: no SIGBUS, and what is lost is counted.
TEST(ChannelOnFullFileSystem, loses_and_counts_and_lives) {
    on_small_file_system("size=1m", [] {
        Channel channel;
        if (!channel.create(PrivateFolder::configuration_for("/mnt/offheap", 65536), Parent())) return 1;
        Header* header = channel.header();
        if (header->ring_capacity >= 65536) return 2;
        uint64_t lost = 0, without_stack = 0;
        for (uint64_t i = 0; i < 30'000; ++i) {
            wire::Event event = {};
            event.operation = static_cast<uint8_t>(wire::Operation::kMmap);
            event.result = 0x10000000 + i * 0x10000;
            event.arg1 = 4096;
            event.stack = channel.intern(0, i + 1);
            if (event.stack == 0) ++without_stack;
            if (i % 50 == 0) event.text = channel.add_text("/usr/lib/libexample.so", 22);
            if (emit(channel, event) == kLost) ++lost;
        }
        if (lost == 0 || header->events_lost != lost) return 3;
        const bool backlog_is_full = header->backlog_used == header->backlog_capacity;
        if (!backlog_is_full && !is_degraded(channel, wire::Degradation::kChannelSpaceExhausted)) return 4;
        return without_stack > 0 ? 0 : 5;
    });
}

// Somebody else fills the file system after the channel was made.
TEST(ChannelOnFullFileSystem, lives_when_others_take_the_room) {
    on_small_file_system("size=8m", [] {
        Channel channel;
        if (!channel.create(PrivateFolder::configuration_for("/mnt/offheap", 8192), Parent())) return 1;
        const int fd = open("/mnt/filler", O_WRONLY | O_CREAT, 0600);
        const std::vector<char> block(4096);
        while (write(fd, block.data(), block.size()) > 0) {
        }
        close(fd);
        for (uint64_t i = 0; i < 10'000; ++i) {
            wire::Event event = {};
            event.operation = static_cast<uint8_t>(wire::Operation::kMprotect);
            emit(channel, event);
        }
        if (channel.header()->events_lost == 0) return 2;
        if (!is_degraded(channel, wire::Degradation::kChannelSpaceExhausted)) return 4;
        unlink("/mnt/filler");
        wire::Event event = {};
        event.operation = static_cast<uint8_t>(wire::Operation::kMprotect);
        return emit(channel, event) != kLost ? 0 : 3;
    });
}

// What was reserved bears being written, to the last byte that there is.
TEST(ChannelOnFullFileSystem, says_what_of_the_heap_sections_is_backed) {
    on_small_file_system("size=16m", [] {
        Channel channel;
        if (!channel.create(PrivateFolder::configuration_for("/mnt/offheap", 1024), Parent())) return 1;
        Header* header = channel.header();
        const int fd = open("/mnt/filler", O_WRONLY | O_CREAT, 0600);
        const std::vector<char> block(4096);
        uint64_t filled = 0;
        for (ssize_t bytes; (bytes = write(fd, block.data(), block.size())) > 0;)
            filled += static_cast<uint64_t>(bytes);
        if (ftruncate(fd, static_cast<off_t>(filled - (1u << 20))) != 0) return 2;
        uint32_t lanes = 0;
        for (; lanes < 40 && channel.reserve_lane(lanes); ++lanes) {
            wire::lane_at(header, lanes)->head = 1;
            memset(wire::window_of(header, lanes), 0xff, wire::kWindowBytes);
        }
        if (lanes != 40) return 3;
        uint32_t chunks = 0;
        for (; chunks < header->chunks_capacity && channel.reserve_chunk(chunks); ++chunks)
            memset(wire::chunk_at(header, chunks), 0xff, wire::kChunkBytes);
        if (chunks != 32 || header->chunks_backed != chunks) return 4;
        for (; lanes < header->lanes_capacity && channel.reserve_lane(lanes); ++lanes)
            memset(wire::window_of(header, lanes), 0xff, wire::kWindowBytes);
        if (lanes == header->lanes_capacity) return 5;
        return is_degraded(channel, wire::Degradation::kChannelSpaceExhausted) ? 0 : 6;
    });
}

// A stack tree without memory, and again with some: one path keeps its id.
TEST(ChannelOnFullFileSystem, cuts_stacks_until_there_is_room) {
    on_small_file_system("size=8m", [] {
        Channel channel;
        if (!channel.create(PrivateFolder::configuration_for("/mnt/offheap", 1024), Parent())) return 1;
        const Header* header = channel.header();
        std::vector<uint32_t> ids;
        const auto fill = [&channel, &ids](uint64_t most) {
            for (uint32_t id; ids.size() < most && (id = channel.intern(0, ids.size())) != 0;)
                ids.push_back(id);
        };
        fill(9000);  // the index is about to grow
        if (ids.size() != 9000) return 2;
        const int fd = open("/mnt/filler", O_WRONLY | O_CREAT, 0600);
        const std::vector<char> block(4096);
        while (write(fd, block.data(), block.size()) > 0) {
        }
        close(fd);
        fill(100'000);
        if (ids.size() > 30'000 || header->nodes_used != ids.size() + 1) return 3;
        for (uint64_t key = 0; key < ids.size(); ++key)
            if (channel.intern(0, key) != ids[key]) return 4;
        unlink("/mnt/filler");
        for (int attempt = 0; attempt < 5000 && ids.size() < 100'000; ++attempt) fill(100'000);
        if (ids.size() != 100'000) return 5;
        for (uint64_t key = 0; key < ids.size(); ++key)
            if (channel.intern(0, key) != ids[key]) return 6;
        return header->index_bits >= 17 ? 0 : 7;
    });
}

TEST(InternedStack, is_counted_when_it_is_cut) {
    const PrivateFolder folder;
    Channel channel;
    ASSERT_TRUE(channel.create(folder.configuration(), Parent()));
    Header* header = channel.header();
    const uint64_t keys[] = {0x1000, 0x2000, 0x3000};
    const StackFrames frames{keys, 1, 3};
    header->nodes_capacity = 1;
    InternedStack stack = intern_stack(channel, nullptr, frames, 0);
    EXPECT_TRUE(stack.cut);
    EXPECT_EQ(stack.node, 0u) << "not even its root";
    EXPECT_EQ(header->stacks_cut_by_space, 1u);
    EXPECT_TRUE(is_degraded(channel, wire::Degradation::kStackSpaceExhausted));
    header->nodes_capacity = 3;
    stack = intern_stack(channel, nullptr, frames, 0);
    EXPECT_TRUE(stack.cut);
    EXPECT_EQ(stack.node, 2u) << "the root and one frame";
    EXPECT_EQ(header->stacks_cut_by_space, 2u);
    header->nodes_capacity = 16;
    stack = intern_stack(channel, nullptr, frames, 0);
    EXPECT_FALSE(stack.cut);
    EXPECT_EQ(header->stacks_cut_by_space, 2u);
}

}  // namespace
}  // namespace offheap::record
