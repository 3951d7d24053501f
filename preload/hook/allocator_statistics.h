// What the allocator counts of itself.
#pragma once

#include <stdint.h>

#include "native/wire/layout.h"

namespace offheap::hook {

// Looks for its function, behind find_allocator() and as that.
void find_allocator_statistics();

// StatisticsSource::kNothing where the allocator has none.
wire::StatisticsSource statistics_source();

// Fills in the figures that the layout lists for the source; 0 where this release lacks one. Takes the
// allocator's locks. Returns how many there are.
uint32_t read_statistics(uint64_t* values);

}  // namespace offheap::hook
