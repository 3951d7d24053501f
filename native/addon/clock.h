// The two clocks that events are stamped with and the wall clock, read as nearly at once as possible.
#pragma once

#include <stdint.h>

namespace offheap::addon {

struct ClockSample {
    uint64_t monotonic_ns;  // CLOCK_MONOTONIC
    uint64_t tsc;           // the processor's time-stamp counter
    uint64_t unix_ns;       // CLOCK_REALTIME
};

uint64_t monotonic_ns();
ClockSample sample_clocks();

}  // namespace offheap::addon
