// Which allocations `sampled` records: each byte that a thread allocates starts a sample with the same small
// probability, so the gaps from one sample to the next are exponential.
#pragma once

#include "preload/record/heap_publish.h"

namespace offheap::record {

// Bytes from one sample to the next, 1 at least: exponential with that mean, rounded up, which makes the
// probability that n bytes hold a sample exactly 1 - exp(-n/mean).
uint64_t draw_gap_bytes(uint64_t& random, uint32_t mean_bytes);

// The countdown is spent, or another mean's.
bool is_sampled_after_draw(HeapLane& lane, uint64_t bytes, uint32_t mean_bytes);

// Whether an allocation lies within the gap to the next sample. True: it is counted, and nothing is left to
// do. Blocks without bytes are blocks too, but not for here.
inline bool is_within_gap(HeapLane& lane, uint64_t bytes) {
    if (bytes - 1 >= lane.bytes_before_sample) return false;
    lane.bytes_before_sample -= bytes;
    return true;
}

// Whether to record an allocation of so many bytes: with probability 1 - exp(-bytes/mean). Needs no open
// lane.
inline bool is_sampled(HeapLane& lane, uint64_t bytes, uint32_t mean_bytes) {
    if (__builtin_expect(lane.sample_bytes == mean_bytes && is_within_gap(lane, bytes), 1)) return false;
    return is_sampled_after_draw(lane, bytes + (bytes == 0), mean_bytes);
}

}  // namespace offheap::record
