// One id for one path, whoever asks and however many ask at once.
#include "native/wire/stack_tree.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <thread>
#include <vector>

#include "test/native/plain_channel.h"

namespace offheap::wire {
namespace {

using test::PlainChannel;

constexpr auto kBacked = [](uint64_t, uint64_t) { return true; };

TEST(StackTree, gives_one_id_to_one_path) {
    PlainChannel channel(1);
    StackTree tree(channel.header());
    const uint32_t root = tree.intern(0, 100, kBacked);
    const uint32_t child = tree.intern(root, 200, kBacked);
    EXPECT_EQ(tree.intern(0, 100, kBacked), root);
    EXPECT_EQ(tree.intern(root, 200, kBacked), child);
    EXPECT_NE(tree.intern(0, 200, kBacked), child) << "the same frame under another parent is another stack";
    EXPECT_NE(tree.intern(root, 201, kBacked), child);
    EXPECT_NE(root, 0u);
}

TEST(StackTree, stores_frame_parent_and_first_child) {
    PlainChannel channel(1);
    StackTree tree(channel.header());
    const uint32_t root = tree.intern(0, 100, kBacked);
    const uint32_t child = tree.intern(root, 200, kBacked);
    const uint32_t leaf = tree.intern(child, 300, kBacked);
    EXPECT_EQ(channel.nodes()[leaf].key, 300u);
    EXPECT_EQ(channel.nodes()[leaf].parent, child);
    EXPECT_NE(tree.intern(root, 201, kBacked), child);
    EXPECT_EQ(channel.nodes()[root].parent, 0u);
    EXPECT_EQ(channel.nodes()[root].first_child, child);
    EXPECT_EQ(channel.nodes()[leaf].first_child, 0u);
}

TEST(StackTree, agrees_with_a_map_and_puts_parents_first) {
    PlainChannel channel(1, 2048);
    StackTree tree(channel.header());
    std::map<std::pair<uint32_t, uint64_t>, uint32_t> model;
    std::mt19937_64 random(1);
    std::vector<uint32_t> ids = {0};
    for (int i = 0; i < 20'000 && ids.size() < 2000; ++i) {
        const uint32_t parent = ids[random() % ids.size()];
        const uint64_t key = random() % 16;
        const uint32_t id = tree.intern(parent, key, kBacked);
        ASSERT_NE(id, 0u);
        ASSERT_LT(parent, id);
        const auto [entry, is_new] = model.try_emplace({parent, key}, id);
        ASSERT_EQ(entry->second, id);
        if (is_new) ids.push_back(id);
    }
    EXPECT_EQ(channel.header()->nodes_used, ids.size()) << "no node was stored twice";
}

TEST(StackTree, answers_zero_when_full_and_still_finds_what_it_has) {
    PlainChannel channel(1, 16);
    StackTree tree(channel.header());
    std::vector<uint32_t> ids;
    for (uint64_t key = 0; key < 15; ++key) ids.push_back(tree.intern(0, key, kBacked));
    for (const uint32_t id : ids) EXPECT_NE(id, 0u);
    EXPECT_EQ(tree.intern(0, 99, kBacked), 0u);
    EXPECT_EQ(tree.intern(0, 98, kBacked), 0u);
    for (uint64_t key = 0; key < 15; ++key) EXPECT_EQ(tree.intern(0, key, kBacked), ids[key]);
    EXPECT_LE(channel.header()->nodes_used, channel.header()->nodes_capacity)
        << "a reader would take nodes from behind the table";
}

TEST(StackTree, touches_no_node_without_memory) {
    PlainChannel channel(1);
    Header* header = channel.header();
    header->nodes_reserved = 2 * sizeof(StackNode);
    StackTree tree(header);
    std::vector<uint64_t> asked;
    const auto refuse = [&asked](uint64_t offset, uint64_t) {
        asked.push_back(offset);
        return false;
    };
    ASSERT_EQ(tree.intern(0, 100, refuse), 1u);
    EXPECT_TRUE(asked.empty()) << "there is memory";
    EXPECT_EQ(tree.intern(1, 101, refuse), 0u);
    EXPECT_EQ(tree.intern(0, 102, refuse), 0u);
    EXPECT_EQ(asked, std::vector<uint64_t>(2, header->nodes_offset + 2 * sizeof(StackNode)));
    EXPECT_EQ(channel.nodes()[2].key, 0u);
    EXPECT_EQ(tree.intern(0, 100, refuse), 1u);
    EXPECT_EQ(tree.intern(1, 101, kBacked), 2u) << "no number was spent";
}

TEST(StackTree, gives_one_id_to_one_path_from_many_threads) {
    constexpr uint32_t kThreads = 4;
    constexpr uint32_t kDepth = 6;
    constexpr uint32_t kStacks = 3000;
    PlainChannel channel(1, 1u << 15);
    StackTree shared(channel.header());
    std::vector<std::vector<uint32_t>> leaves(kThreads);
    std::vector<std::thread> threads;
    for (uint32_t thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&shared, &mine = leaves[thread]] {
            std::mt19937_64 random(7);  // all threads intern the same stacks in the same order
            for (uint32_t i = 0; i < kStacks; ++i) {
                uint32_t node = 0;
                for (uint32_t depth = 0; depth < kDepth; ++depth)
                    node = shared.intern(node, random() % 4, kBacked);
                mine.push_back(node);
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    for (uint32_t thread = 0; thread < kThreads; ++thread) {
        ASSERT_EQ(leaves[thread], leaves[0]);
        for (const uint32_t leaf : leaves[thread]) ASSERT_NE(leaf, 0u);
    }
    for (const uint32_t leaf : leaves[0]) {
        uint32_t depth = 0;
        for (uint32_t node = leaf; node != 0; node = channel.nodes()[node].parent, ++depth) {
            ASSERT_LT(channel.nodes()[node].parent, node);
        }
        ASSERT_EQ(depth, kDepth);
    }
}

}  // namespace
}  // namespace offheap::wire
