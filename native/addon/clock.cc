#include "native/addon/clock.h"

#include <time.h>
#include <x86intrin.h>

namespace offheap::addon {
namespace {

uint64_t read_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000ULL + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

uint64_t monotonic_ns() { return read_ns(CLOCK_MONOTONIC); }

ClockSample sample_clocks() {
    // Of several attempts the tightest counts: a preemption in between would shift the clocks by
    // milliseconds.
    ClockSample best = {};
    uint64_t best_ticks = UINT64_MAX;
    for (int attempt = 0; attempt < 8; ++attempt) {
        const uint64_t before = __rdtsc();
        const uint64_t monotonic = read_ns(CLOCK_MONOTONIC);
        const uint64_t real = read_ns(CLOCK_REALTIME);
        const uint64_t after = __rdtsc();
        if (after - before < best_ticks) {
            best_ticks = after - before;
            best = {monotonic, before + (after - before) / 2, real};
        }
    }
    return best;
}

}  // namespace offheap::addon
