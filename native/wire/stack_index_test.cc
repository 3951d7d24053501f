// The index while it grows: nothing is lost, nothing is there twice, whoever is at it and wherever they stop.
#include "native/wire/stack_index.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "native/wire/stack_tree.h"
#include "test/native/plain_channel.h"

namespace offheap::wire {
namespace {

using test::PlainChannel;

constexpr auto kBacked = [](uint64_t, uint64_t) { return true; };

TEST(StackIndex, grows_and_agrees_with_a_map) {
    constexpr uint64_t kNodes = 1u << 18;
    PlainChannel channel(1, kNodes, 10);
    const Header* header = channel.header();
    StackTree tree(channel.header());
    std::map<std::pair<uint32_t, uint64_t>, uint32_t> model;
    std::vector<std::pair<uint32_t, uint64_t>> known;
    std::mt19937_64 random(1);
    while (model.size() < 200'000) {
        // Few parents with many children: nearly all of them are in the index.
        const auto parent = static_cast<uint32_t>(random() % (model.size() / 64 + 1));
        const uint64_t key = random() % 1'000'000;
        const uint32_t id = tree.intern(parent, key, kBacked);
        ASSERT_NE(id, 0u);
        const auto [entry, is_new] = model.try_emplace({parent, key}, id);
        ASSERT_EQ(entry->second, id);
        if (is_new) known.emplace_back(parent, key);
        const auto& [old_parent, old_key] = known[random() % known.size()];
        ASSERT_EQ(tree.intern(old_parent, old_key, kBacked), (model[{old_parent, old_key}]));
    }
    EXPECT_EQ(header->nodes_used, model.size() + 1) << "no node was stored twice";
    EXPECT_EQ(header->index_bits, 18u) << "half of the era below is full";
    EXPECT_GT(header->index_used, model.size() * 9 / 10);
    for (const auto& [path, id] : model) ASSERT_EQ(tree.intern(path.first, path.second, kBacked), id);
    EXPECT_EQ(header->nodes_used, model.size() + 1);
}

TEST(StackIndex, asks_for_memory_in_pieces_before_it_grows) {
    PlainChannel channel(1, 1u << 17, 14);
    Header* header = channel.header();
    StackTree tree(header);
    uint64_t backed = header->index_reserved;
    uint64_t largest = 0;
    const auto back = [&](uint64_t offset, uint64_t bytes) {
        EXPECT_EQ(offset, header->index_offset + backed * sizeof(uint32_t)) << "one piece behind the other";
        backed += bytes / sizeof(uint32_t);
        largest = std::max(largest, bytes);
        return true;
    };
    for (uint64_t key = 0; key < 100'000; ++key) {
        ASSERT_NE(tree.intern(0, key, back), 0u);
        ASSERT_LE(2ULL << header->index_bits, backed);
        const bool is_moving = header->index_migrated >> 56 == header->index_bits;
        ASSERT_TRUE(!is_moving || 4ULL << header->index_bits <= backed);
    }
    EXPECT_EQ(header->index_bits, 17u);
    EXPECT_LE(largest, 256u * 1024) << "more would be a pause";
}

TEST(StackIndex, goes_on_without_memory_and_grows_when_there_is_some) {
    PlainChannel channel(1, 1u << 14, 10);
    Header* header = channel.header();
    StackTree tree(header);
    const auto refuse = [](uint64_t, uint64_t) { return false; };
    std::vector<uint32_t> ids;
    for (uint32_t id; (id = tree.intern(0, ids.size(), refuse)) != 0;) ids.push_back(id);
    EXPECT_EQ(header->index_bits, 10u);
    EXPECT_GE(ids.size(), 1024u * 7 / 8) << "the present era is used first";
    EXPECT_LT(ids.size(), 1024u) << "probes must not get long without end";
    EXPECT_EQ(header->nodes_used, ids.size() + 1) << "no node is made that can't be entered";
    for (uint64_t key = 0; key < ids.size(); ++key) ASSERT_EQ(tree.intern(0, key, refuse), ids[key]);
    EXPECT_NE(tree.intern(ids[5], 77, refuse), 0u) << "a first child needs no entry";

    uint64_t cut = 0;
    while (ids.size() < 10'000) {
        const uint32_t id = tree.intern(0, ids.size(), kBacked);
        if (id == 0)
            ASSERT_LE(++cut, 70u) << "to move 64 blocks";
        else
            ids.push_back(id);
    }
    EXPECT_EQ(header->index_bits, 14u);
    for (uint64_t key = 0; key < ids.size(); ++key) ASSERT_EQ(tree.intern(0, key, refuse), ids[key]);
}

TEST(StackIndex, answers_zero_at_its_last_era) {
    PlainChannel channel(1, 1u << 12, 10);
    channel.header()->index_capacity = 1u << 12;  // for an era of 2^11
    StackTree tree(channel.header());
    uint64_t stored = 0;
    while (tree.intern(0, stored, kBacked) != 0) ++stored;
    EXPECT_GE(stored, 2048u * 7 / 8);
    EXPECT_LT(stored, 2048u);
    EXPECT_EQ(channel.header()->index_bits, 11u);
    for (uint64_t key = 0; key < stored; ++key) ASSERT_NE(tree.intern(0, key, kBacked), 0u);
}

// All threads intern the same stacks, each in an order of its own, while the index doubles several times.
void grow_by_many_threads(uint32_t seed) {
    constexpr uint32_t kThreads = 4;
    constexpr uint32_t kStacks = 24'000;
    PlainChannel channel(1, 1u << 16, 6);
    StackTree shared(channel.header());
    std::vector<std::vector<uint32_t>> leaves(kThreads, std::vector<uint32_t>(kStacks));
    std::vector<std::thread> threads;
    for (uint32_t thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&shared, &mine = leaves[thread], seed, thread] {
            std::vector<uint32_t> order(kStacks);
            std::iota(order.begin(), order.end(), 0);
            // Nearly in order, so that threads meet.
            std::mt19937 random(seed + thread);
            for (uint32_t i = 0; i < kStacks; i += 8) std::shuffle(&order[i], &order[i] + 8, random);
            for (const uint32_t stack : order) {
                uint32_t node = shared.intern(0, 1, kBacked);
                for (const uint32_t key : {stack / 400, stack / 20, stack})
                    node = shared.intern(node, key, kBacked);
                mine[stack] = node;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    for (const auto& mine : leaves) ASSERT_EQ(mine, leaves[0]) << "one path, one id";
    std::sort(leaves[0].begin(), leaves[0].end());
    EXPECT_NE(leaves[0][0], 0u);
    EXPECT_EQ(std::adjacent_find(leaves[0].begin(), leaves[0].end()), leaves[0].end());
    EXPECT_GE(channel.header()->index_bits, 15u);
}

TEST(StackIndex, grows_under_many_threads) {
    for (uint32_t seed = 0; seed < 10; ++seed) grow_by_many_threads(seed * 10);
}

// What a child interns while it is watched: several eras' worth of siblings, and some first children.
constexpr uint64_t kWatchedStacks = 80;
struct Watched {
    uint64_t done;
    uint32_t ids[kWatchedStacks];
};

uint32_t intern_watched(StackTree& tree, uint64_t stack) {
    const uint32_t node = tree.intern(0, 1 + stack, kBacked);
    return stack % 3 == 0 ? tree.intern(node, 7, kBacked) : node;
}

// Goes on where another thread was abandoned: every stack still has one node, and the one that it had.
void expect_whole(PlainChannel channel, const Watched& watched) {
    StackTree tree(channel.header());
    for (int round = 0; round < 2; ++round) {
        for (uint64_t stack = 0; stack < 2 * kWatchedStacks; ++stack) {
            const uint32_t id = intern_watched(tree, stack);
            ASSERT_NE(id, 0u);
            if (stack < watched.done) {
                ASSERT_EQ(id, watched.ids[stack]) << stack << " of " << watched.done;
            }
        }
    }
    std::map<std::pair<uint32_t, uint64_t>, uint32_t> twins;
    const StackNode* nodes = channel.nodes();
    const uint64_t used = channel.header()->nodes_used;
    for (uint32_t id = 1; id < used; ++id) ++twins[{nodes[id].parent, nodes[id].key}];
    // The node that the child was just making is the only one that nobody may ever refer to.
    EXPECT_LE(used - 1 - twins.size(), 1u);
    EXPECT_GE(channel.header()->index_bits, 7u);
}

// A signal handler may leave an insert at any instruction for ever.
TEST(StackIndex, bears_being_abandoned_at_any_instruction) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "steps through the sanitizer's instructions as well";
#endif
    PlainChannel channel(1, 1024, 4);
    const uint64_t bytes = channel.header()->file_bytes;
    auto* shared = static_cast<uint8_t*>(
        mmap(nullptr, bytes + sizeof(Watched), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(shared, MAP_FAILED);
    memcpy(shared, channel.header(), bytes);
    auto* watched = reinterpret_cast<Watched*>(shared + bytes);
    const pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(3);
        StackTree tree(reinterpret_cast<Header*>(shared));
        raise(SIGSTOP);
        for (uint64_t stack = 0; stack < kWatchedStacks; ++stack) {
            watched->ids[stack] = intern_watched(tree, stack);
            watched->done = stack + 1;
        }
        _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 3)
        GTEST_SKIP() << "needs permission to trace a child (ptrace)";
    uint64_t changes = 0;
    for (;;) {
        ASSERT_EQ(ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr), 0);
        ASSERT_EQ(waitpid(child, &status, 0), child);
        if (!WIFSTOPPED(status)) break;
        if (memcmp(shared, channel.header(), bytes) == 0) continue;
        memcpy(static_cast<void*>(channel.header()), shared, bytes);
        ++changes;
        expect_whole(channel, *watched);
        if (!testing::Test::HasFailure()) continue;
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        FAIL() << "after change " << changes;
    }
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    EXPECT_GT(changes, 500u) << "each insert must have been watched word by word";
    munmap(shared, bytes + sizeof(Watched));
}

}  // namespace
}  // namespace offheap::wire
