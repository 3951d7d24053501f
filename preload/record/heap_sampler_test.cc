// The sampler computes without floating point; libm is the judge.
#include "preload/record/heap_sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace offheap::record {
namespace {

constexpr uint64_t kDraws = 1'000'000;

class HeapSamplerWithMean : public testing::TestWithParam<uint32_t> {};

TEST_P(HeapSamplerWithMean, draws_gaps_that_are_exponential) {
    const double mean = GetParam();
    uint64_t random = 42;
    std::vector<double> gaps(kDraws);
    double sum = 0;
    for (double& gap : gaps) {
        gap = static_cast<double>(draw_gap_bytes(random, GetParam()));
        sum += gap;
    }
    // Rounded up: P(gap > n) = exp(-n/mean), which makes mean and variance those of the geometric
    // distribution.
    const double p = -std::expm1(-1 / mean);
    const double expected_mean = 1 / p;
    const double expected_variance = (1 - p) / (p * p);
    const double sample_mean = sum / kDraws;
    double squares = 0;
    for (const double gap : gaps) squares += (gap - sample_mean) * (gap - sample_mean);
    EXPECT_NEAR(sample_mean, expected_mean, 4 * std::sqrt(expected_variance / kDraws));
    // The variance of the sample variance of an exponential: 8 variance^2 / n.
    EXPECT_NEAR(squares / kDraws, expected_variance, 4 * expected_variance * std::sqrt(8.0 / kDraws));

    std::sort(gaps.begin(), gaps.end());
    double largest = 0;  // Kolmogorov and Smirnov
    for (uint64_t i = 0; i < kDraws; ++i) {
        if (i + 1 < kDraws && gaps[i + 1] == gaps[i]) continue;
        const double expected = -std::expm1(-gaps[i] / mean);
        largest = std::max(largest, std::abs(static_cast<double>(i + 1) / kDraws - expected));
    }
    EXPECT_LT(largest, 1.95 / std::sqrt(kDraws)) << "exceeded by chance in 1 of 1000 samples";
}

INSTANTIATE_TEST_SUITE_P(Means, HeapSamplerWithMean, testing::Values(1u, 3u, 4096u, 524288u, 4294967295u));

TEST(HeapSampler, computes_each_gap_as_libm_does) {
    constexpr uint32_t kMean = 1u << 30;
    for (uint64_t seed = 0; seed < 100'000; ++seed) {
        uint64_t state = seed;
        const auto gap = static_cast<double>(draw_gap_bytes(state, kMean));
        uint64_t z = state;  // SplitMix64's state after the draw; its output again
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
        z = (z ^ z >> 31) | 1;
        const double expected = -std::log(std::ldexp(static_cast<double>(z), -64)) * kMean;
        // Rounding, ours and that of 64 bits to a double.
        ASSERT_NEAR(gap, expected, 1.01 + expected * 1e-9) << "seed " << seed;
    }
}

TEST(HeapSampler, records_each_size_as_often_as_it_should) {
    constexpr uint32_t kMean = 1000;
    HeapLane lane = {};
    for (const uint64_t bytes : {0u, 1u, 16u, 1000u, 5000u}) {
        constexpr uint64_t kBlocks = 2'000'000;
        uint64_t recorded = 0;
        for (uint64_t i = 0; i < kBlocks; ++i) recorded += is_sampled(lane, bytes, kMean);
        const double p = -std::expm1(-static_cast<double>(std::max<uint64_t>(bytes, 1)) / kMean);
        EXPECT_NEAR(static_cast<double>(recorded), kBlocks * p, 4.5 * std::sqrt(kBlocks * p * (1 - p)) + 1e-9)
            << bytes << " bytes";
    }
}

TEST(HeapSampler, records_a_mixture_of_sizes_without_bias) {
    constexpr uint32_t kMean = 4096;
    HeapLane lane = {};
    double estimate = 0, truth = 0, variance = 0;
    for (uint64_t i = 0; i < 3'000'000; ++i) {
        const uint64_t bytes = i % 100 == 0 ? 20'000 : 16 + i % 7 * 40;
        const double p = -std::expm1(-static_cast<double>(bytes) / kMean);
        truth += static_cast<double>(bytes);
        variance += static_cast<double>(bytes) * static_cast<double>(bytes) * (1 - p) / p;
        if (is_sampled(lane, bytes, kMean)) estimate += static_cast<double>(bytes) / p;
    }
    EXPECT_NEAR(estimate, truth, 4 * std::sqrt(variance));
}

TEST(HeapSampler, begins_anew_with_another_mean) {
    uint64_t recorded = 0;
    for (int lane_number = 0; lane_number < 2000; ++lane_number) {
        HeapLane lane = {};
        EXPECT_FALSE(is_sampled(lane, 16, 1u << 31)) << "1 of 134 million";
        recorded += is_sampled(lane, 1000, 1000);
    }
    EXPECT_NEAR(static_cast<double>(recorded), 2000 * (1 - std::exp(-1)), 4.5 * std::sqrt(2000 * 0.2326));
}

TEST(HeapSampler, differs_between_threads) {
    HeapLane lanes[2] = {};
    for (HeapLane& lane : lanes) is_sampled(lane, 1, 1000);
    EXPECT_NE(lanes[0].random, lanes[1].random);
}

TEST(HeapSampler, takes_any_size) {
    HeapLane lane = {};
    EXPECT_TRUE(is_sampled(lane, ~uint64_t{0}, 1u << 20));
    EXPECT_TRUE(is_sampled(lane, uint64_t{1} << 63, 1u << 20));
    EXPECT_GT(lane.bytes_before_sample, 0u);
}

}  // namespace
}  // namespace offheap::record
