#include "preload/record/heap_sampled_set.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

namespace offheap::record {
namespace {

class HeapSampledSet : public testing::Test {
  protected:
    void SetUp() override { forget_sampled(); }
    void TearDown() override { forget_sampled(); }
};

TEST_F(HeapSampledSet, gives_back_what_was_put_in_once) {
    EXPECT_FALSE(take_sampled(0x1000));
    EXPECT_TRUE(add_sampled(0x1000));
    EXPECT_FALSE(take_sampled(0x1010));
    EXPECT_TRUE(take_sampled(0x1000));
    EXPECT_FALSE(take_sampled(0x1000));
    EXPECT_EQ(filter_count(0x1000), 0) << "so that one look suffices again";
}

TEST_F(HeapSampledSet, holds_an_address_once) {
    EXPECT_TRUE(add_sampled(0x1000));
    EXPECT_TRUE(add_sampled(0x1000));
    EXPECT_TRUE(take_sampled(0x1000));
    EXPECT_FALSE(take_sampled(0x1000));
}

TEST_F(HeapSampledSet, is_a_set_whatever_the_order) {
    std::mt19937_64 random(1);
    std::set<uint64_t> truth;
    for (int step = 0; step < 400'000; ++step) {
        const uint64_t address = 0x7f0000000000 + random() % 30'000 * 16;
        if (random() % 2 == 0) {
            ASSERT_TRUE(add_sampled(address));
            truth.insert(address);
        } else {
            ASSERT_EQ(take_sampled(address), truth.erase(address) == 1) << step;
        }
    }
    for (const uint64_t address : truth) ASSERT_TRUE(take_sampled(address));
    EXPECT_EQ(std::count(std::begin(sampled_filter), std::end(sampled_filter), 0), 1 << kFilterBits);
}

TEST_F(HeapSampledSet, holds_a_million_and_refuses_more_than_it_can) {
    constexpr uint64_t kMany = 1'000'000;
    uint64_t next = 0;
    for (; next < kMany; ++next) ASSERT_TRUE(add_sampled(0x7f0000000000 + next * 32)) << next;
    while (add_sampled(0x7f0000000000 + next * 32)) ++next;
    EXPECT_LT(next, 2'500'000u);
    EXPECT_FALSE(take_sampled(0x7f0000000000 + next * 32)) << "what was refused isn't there";
    for (uint64_t i = 0; i < next; ++i) ASSERT_TRUE(take_sampled(0x7f0000000000 + i * 32)) << i;
    EXPECT_TRUE(add_sampled(0x7f0000000000 + next * 32)) << "there is room again";
}

TEST_F(HeapSampledSet, keeps_a_saturated_count) {
    // Addresses that meet in one place of the filter.
    std::vector<uint64_t> same;
    for (uint64_t address = 0x10000; same.size() < 300; address += 16) {
        if (&filter_count(address) == &filter_count(0x10000)) same.push_back(address);
    }
    for (const uint64_t address : same) ASSERT_TRUE(add_sampled(address));
    for (size_t i = 0; i + 1 < same.size(); ++i) ASSERT_TRUE(take_sampled(same[i]));
    EXPECT_TRUE(take_sampled(same.back())) << "not forgotten by a count that came down to zero too early";
    EXPECT_FALSE(take_sampled(same.front()));
}

TEST_F(HeapSampledSet, forgets_all) {
    for (uint64_t i = 0; i < 10'000; ++i) add_sampled(0x1000 + i * 16);
    forget_sampled();
    for (uint64_t i = 0; i < 10'000; ++i) ASSERT_FALSE(take_sampled(0x1000 + i * 16));
    EXPECT_EQ(std::count(std::begin(sampled_filter), std::end(sampled_filter), 0), 1 << kFilterBits);
    EXPECT_TRUE(add_sampled(0x1000));
}

}  // namespace
}  // namespace offheap::record
