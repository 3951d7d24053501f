// Stacks that are interned by way of what a thread looked for of late have the nodes that the tree has for
// them.
#include "preload/record/recent_children.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "preload/record/emit.h"
#include "test/native/private_folder.h"

namespace offheap::record {
namespace {

using test::PrivateFolder;

constexpr uint32_t kDepth = 24;

struct Interning {
    InternedStack intern(const std::vector<uint64_t>& frames) {
        std::vector<uint32_t> labels(frames.size());
        StackNodes nodes{labels.data(), 1, 0, recent};
        return intern_stack(channel, &nodes, {frames.data(), 1, static_cast<uint32_t>(frames.size())}, 1);
    }

    Channel& channel;
    RecentChildren* recent;
};

std::vector<uint64_t> random_stack(std::mt19937_64& random) {
    std::vector<uint64_t> frames(1 + random() % kDepth);
    // A few callees each: most are not the first one.
    for (uint64_t& frame : frames) frame = 0x1000 + random() % 5 * 0x10;
    return frames;
}

TEST(RecentChildren, are_the_trees) {
    const PrivateFolder folder;
    Channel channel;
    ASSERT_TRUE(channel.create(folder.configuration(), Parent()));
    const auto recent = std::make_unique<RecentChildren>();
    Interning by_recent{channel, recent.get()};
    Interning by_tree{channel, nullptr};
    std::mt19937_64 random(1);
    for (uint32_t round = 0; round < 100'000; ++round) {
        const std::vector<uint64_t> frames = random_stack(random);
        const bool is_recent_first = random() % 2 == 0;
        const uint32_t first = (is_recent_first ? by_recent : by_tree).intern(frames).node;
        ASSERT_NE(first, 0u);
        ASSERT_EQ((is_recent_first ? by_tree : by_recent).intern(frames).node, first) << "round " << round;
    }
}

TEST(RecentChildren, of_another_channel_are_not_known) {
    const PrivateFolder folder;
    const auto recent = std::make_unique<RecentChildren>();
    std::mt19937_64 random(2);
    std::vector<std::vector<uint64_t>> stacks(200);
    for (auto& stack : stacks) stack = random_stack(random);
    // As in a child of fork: its channel has other nodes by the same numbers.
    for (uint32_t fork = 0; fork < 3; ++fork) {
        Channel channel;
        ASSERT_TRUE(channel.create(folder.configuration(), Parent()));
        std::shuffle(stacks.begin(), stacks.end(), random);
        for (const auto& stack : stacks) {
            const uint32_t node = Interning{channel, recent.get()}.intern(stack).node;
            ASSERT_EQ((Interning{channel, nullptr}.intern(stack).node), node);
        }
    }
}

TEST(RecentChildren, of_one_parent_are_told_apart) {
    RecentChildren recent{};
    constexpr uint32_t kChildren = 20'000;
    for (uint32_t child = 1; child <= kChildren; ++child) recent.note(7, 1, 0x1000 + child * 5, child);
    for (uint32_t child = 1; child <= kChildren; ++child) {
        const uint32_t found = recent.find(7, 1, 0x1000 + child * 5);
        ASSERT_TRUE(found == 0 || found == child) << found << " for " << child;
    }
}

TEST(RecentChildren, are_found_again_and_torn_entries_are_not) {
    RecentChildren recent{};
    EXPECT_EQ(recent.find(7, 1, 0x1000), 0u);
    recent.note(7, 1, 0x1000, 2);
    EXPECT_EQ(recent.find(7, 1, 0x1000), 2u);
    EXPECT_EQ(recent.find(8, 1, 0x1000), 0u);
    EXPECT_EQ(recent.find(7, 2, 0x1000), 0u);
    EXPECT_EQ(recent.find(7, 1, 0x1001), 0u);
    // A thread that was abandoned between the two words of an entry leaves one of each.
    auto* const words = reinterpret_cast<uint64_t*>(&recent);
    constexpr uint64_t kWords = sizeof recent / sizeof(uint64_t);
    uint64_t entry = 0;
    while (entry < kWords && words[entry] == 0) entry += 2;
    ASSERT_LT(entry, kWords);
    words[entry + 1] = uint64_t{1} << 32 | 3;
    EXPECT_EQ(recent.find(7, 1, 0x1000), 0u);
}

}  // namespace
}  // namespace offheap::record
