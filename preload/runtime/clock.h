// Time stamps for events: the time-stamp counter where it ticks evenly on all cores (9 ns), else
// CLOCK_MONOTONIC.
#pragma once

#include <stdint.h>

#include "preload/runtime/raw_syscall.h"

namespace offheap::runtime {

inline uint64_t clock_ns(long clock) {
    struct {
        int64_t seconds, nanoseconds;
    } time = {0, 0};
    raw_syscall(kSysClockGettime, clock, as_argument(&time));
    return static_cast<uint64_t>(time.seconds) * 1000000000u + static_cast<uint64_t>(time.nanoseconds);
}

inline constexpr long kClockRealtime = 0;
inline constexpr long kClockMonotonic = 1;

inline uint64_t read_time_stamp_counter() {
    uint32_t low, high;
    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return static_cast<uint64_t>(high) << 32 | low;
}

// CPUID's "invariant TSC": constant rate, running in every sleep state, and so comparable across cores.
inline bool has_invariant_counter() {
    uint32_t a = 0x80000000u, b, c = 0, d;
    asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (a < 0x80000007u) return false;
    a = 0x80000007u, c = 0;
    asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return (d & (1u << 8)) != 0;
}

}  // namespace offheap::runtime
