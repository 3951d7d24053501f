#include "native/addon/heap_columns.h"

#include <gtest/gtest.h>

#include <cmath>

namespace offheap::addon {
namespace {

using wire::HeapEventKind;

wire::HeapEvent allocation(uint64_t address, uint64_t time, uint64_t bytes, uint32_t stack = 1,
                           uint32_t sampled_every = 0) {
    return {wire::heap_word(HeapEventKind::kAllocation, address), time, bytes, stack, sampled_every};
}
wire::HeapEvent release(uint64_t address, uint64_t time) {
    return {wire::heap_word(HeapEventKind::kRelease, address), time, 0, 0, 0};
}

TEST(HeapColumns, TellsAgesBySeconds) {
    constexpr uint64_t kTicksPerSecond = 10;
    HeapLedger ledger({1000, 0, 100});
    const uint64_t now = 1000 + 200'000 * kTicksPerSecond;
    uint64_t address = 0;
    for (const uint64_t seconds : {0, 1, 9, 10, 59, 60, 600, 3599, 3600, 86400, 100'000})
        ledger.apply(0, allocation(address += 8, now - seconds * kTicksPerSecond, 1));
    ledger.apply(0, allocation(address += 8, now - 5, 1));
    ledger.apply(0, allocation(address += 8, now + 5, 1));  // a moment younger than the look
    const HeapHistogramColumns ages = age_columns(ledger, {}, now, 1.0 / kTicksPerSecond);
    EXPECT_EQ(ages.from, (std::vector<double>{0, 1, 10, 60, 600, 3600, 86400}));
    EXPECT_EQ(ages.live_allocations, (std::vector<double>{3, 2, 2, 1, 2, 1, 2}));
}

// Each estimate within three of its standard errors, and the error itself neither boast nor excuse.
TEST(HeapColumns, EstimatesWhatIsSampledWithoutBias) {
    constexpr uint32_t kMean = 4096;
    constexpr uint64_t kBlocks = 20'000;
    double misses = 0, squares = 0;
    uint64_t random = 88172645463325252ULL;
    const auto uniform = [&] {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        return static_cast<double>(random >> 11) * 0x1p-53;
    };
    constexpr int kRounds = 60;
    for (int round = 0; round < kRounds; ++round) {
        HeapLedger ledger({0, 0, 100});
        double truth = 0;
        for (uint64_t block = 1; block <= kBlocks; ++block) {
            const uint64_t bytes = 16 + block % 64 * 16;
            truth += static_cast<double>(bytes);
            if (uniform() < -std::expm1(-static_cast<double>(bytes) / kMean))
                ledger.apply(0, allocation(8 * block, block, bytes, 1, kMean));
        }
        const HeapSums all = sums(ledger, {});
        const double error = std::sqrt(all.variance.bytes);
        const double miss = (all.counts.live_bytes - truth) / error;
        EXPECT_LT(std::abs(miss), 4.5);
        EXPECT_LT(std::abs(all.counts.live_allocations - kBlocks), 4.5 * std::sqrt(all.variance.allocations));
        misses += miss;
        squares += miss * miss;
    }
    EXPECT_LT(std::abs(misses / kRounds), 0.5);
    EXPECT_NEAR(squares / kRounds, 1, 0.6);
}

TEST(HeapColumns, LeavesNothingBehindOfWhatWasSampledAndFreed) {
    HeapLedger ledger({0, 0, 100});
    for (uint64_t block = 1; block < 1000; ++block)
        ledger.apply(0, allocation(8 * block, block, 3 * block, 1, 1000));
    for (uint64_t block = 1; block < 1000; ++block) ledger.apply(0, release(8 * block, 1000 + block));
    const HeapSiteColumns sites = site_columns(ledger, {});
    ASSERT_EQ(sites.stack.size(), 1U);
    EXPECT_EQ(sites.live_bytes[0], 0);
    EXPECT_EQ(sites.live_bytes_variance[0], 0);
    EXPECT_NEAR(sites.allocations[0], sites.frees[0], 1e-6);
    EXPECT_GT(sites.peak_bytes[0], 0);
}

// Frees that nobody saw.
TEST(HeapColumns, TakesABlockForFreedWhenItsAddressComesAgain) {
    HeapLedger ledger({0, 0, 100});
    ledger.apply(0, allocation(8, 10, 100, 1));
    ledger.apply(0, allocation(8, 20, 200, 2));
    ledger.apply(0, allocation(8, 15, 300, 3));  // told late
    const HeapSums all = sums(ledger, {});
    EXPECT_EQ(all.counts.live_bytes, 200);
    EXPECT_EQ(all.counts.allocations, 3);
    EXPECT_EQ(all.counts.frees, 2);
    EXPECT_EQ(ledger.live().size(), 1U);
}

// Sites without blocks are forgotten, so that many threads and marks cost nothing once they have gone.
TEST(HeapColumns, CountsOnWhenManySitesHaveComeAndGone) {
    HeapLedger ledger({0, 0, 1'000'000});
    uint64_t time = 0;
    for (uint32_t stack = 1; stack < 50'000; ++stack) {
        ledger.apply(0, allocation(8 * stack, ++time, 10, stack));
        if (stack > 10) ledger.apply(0, release(8 * (stack - 10), ++time));
    }
    EXPECT_EQ(ledger.live().size(), 10U);
    EXPECT_EQ(site_columns(ledger, {}).stack.size(), 49'999U);
    EXPECT_EQ(sums(ledger, {}).counts.live_bytes, 100);
    double live = 0;
    for (const double bytes : site_columns(ledger, {}).live_bytes) live += bytes;
    EXPECT_EQ(live, 100);
}

// More releases of one address than there can be are told apart from those that may be owed.
TEST(HeapColumns, BoundsWhatIsOwedForAnAddress) {
    HeapLedger ledger({0, 0, 100});
    for (uint64_t time = 1; time <= 1000; ++time) ledger.apply(0, release(4096, time));
    EXPECT_EQ(ledger.owed() + ledger.unknown_frees(), 1000U);
    EXPECT_LE(ledger.owed(), 64U);
    ledger.drop_unknown(UINT64_MAX, {});
    EXPECT_EQ(ledger.unknown_frees(), 1000U);
}

}  // namespace
}  // namespace offheap::addon
