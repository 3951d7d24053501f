// What the windows add to a ledger's counts as long as they last, without being put into it.
#pragma once

#include <stdint.h>

#include <vector>

#include "native/addon/heap_ledger.h"
#include "native/addon/heap_windows.h"

namespace offheap::addon {

struct HeapDelta {
    uint32_t stack_row = 0;
    uint32_t thread_row = 0;
    HeapCounts counts;  // its peak is of no meaning
    HeapVariance variance;
    double before_bytes = 0;
    double before_allocations = 0;
    // The block by which the living differ, where counts.live_allocations isn't 0.
    uint64_t address = 0;
    uint64_t bytes = 0;
    uint32_t born = 0;
    uint32_t era = 0;
};

// `windows` was read before all that is published was applied to `ledger`.
std::vector<HeapDelta> overlay(HeapLedger& ledger, const HeapWindows& windows);

// Puts it into the ledger for good: of a target that has ended.
void settle_windows(HeapLedger& ledger, const HeapWindows& windows);

}  // namespace offheap::addon
