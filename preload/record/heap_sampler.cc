#include "preload/record/heap_sampler.h"

#include "preload/runtime/clock.h"

namespace offheap::record {

namespace {

constexpr uint32_t kFractionBits = 40;
constexpr uint64_t kLn2 = 0xb17217f7d1cf79abULL;  // ln 2 * 2^64

// SplitMix64.
uint64_t next_random(uint64_t& state) {
    uint64_t z = state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

// log2 of x, which isn't 0, in units of 2^-kFractionBits. Squaring a number of [1, 2) doubles its logarithm:
// whether the square reaches 2 is the next bit. A sample is rare enough for forty multiplications.
uint64_t log2_fixed(uint64_t x) {
    const auto leading = static_cast<uint32_t>(__builtin_clzll(x));
    uint64_t result = 63 - leading;
    uint64_t mantissa = x << leading;  // in units of 2^-63
    for (uint32_t bit = 0; bit < kFractionBits; ++bit) {
        const auto square = static_cast<unsigned __int128>(mantissa) * mantissa;
        const bool reaches_two = static_cast<uint64_t>(square >> 127) != 0;
        mantissa = static_cast<uint64_t>(square >> (reaches_two ? 64 : 63));
        result = result << 1 | reaches_two;
    }
    return result;
}

}  // namespace

uint64_t draw_gap_bytes(uint64_t& random, uint32_t mean_bytes) {
    const uint64_t uniform = next_random(random) | 1;  // over 2^64: in (0, 1)
    const uint64_t halvings = (64ULL << kFractionBits) - log2_fixed(uniform);
    const auto exponential = static_cast<uint64_t>(static_cast<unsigned __int128>(halvings) * kLn2 >> 64);
    return static_cast<uint64_t>(static_cast<unsigned __int128>(exponential) * mean_bytes >> kFractionBits) +
           1;
}

bool is_sampled_after_draw(HeapLane& lane, uint64_t bytes, uint32_t mean_bytes) {
    const bool has_countdown = lane.sample_bytes == mean_bytes;
    if (has_countdown && is_within_gap(lane, bytes)) return false;
    if (lane.random == 0) {
        // Two threads, or two processes, must not draw the same gaps.
        lane.random = runtime::read_time_stamp_counter() ^ uint64_t { lane.number } << 48 ^
                      reinterpret_cast<uint64_t>(&lane) << 16;
    }
    lane.sample_bytes = mean_bytes;
    if (has_countdown) {
        // The process has no memory: behind the sample, wherever it lies in the block, all begins anew.
        lane.bytes_before_sample = draw_gap_bytes(lane.random, mean_bytes) - 1;
        return true;
    }
    lane.bytes_before_sample = draw_gap_bytes(lane.random, mean_bytes) - 1;
    return is_sampled(lane, bytes, mean_bytes);
}

}  // namespace offheap::record
