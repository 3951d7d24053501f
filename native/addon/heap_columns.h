// A ledger and its overlay as columns: what src/wire/heap.ts describes, row by row.
#pragma once

#include <stdint.h>

#include <vector>

#include "native/addon/heap_ledger.h"
#include "native/addon/heap_overlay.h"

namespace offheap::addon {

struct HeapSiteColumns {
    std::vector<uint32_t> stack;
    std::vector<double> live_bytes, live_allocations, allocations, frees, temporary, allocated_bytes,
        peak_bytes, live_bytes_variance, live_allocations_variance;
};

struct HeapHeldColumns {
    std::vector<uint32_t> stack;
    std::vector<double> live_bytes;
};

struct HeapThreadColumns {
    std::vector<uint32_t> thread_id;
    std::vector<double> live_bytes, live_allocations, allocations, frees, temporary;
};

struct HeapHistogramColumns {
    std::vector<double> from, live_bytes, live_allocations;
};

struct HeapSurvivorColumns {
    std::vector<uint32_t> stack;
    std::vector<double> live_bytes, live_allocations, frees;
};

struct HeapSums {
    HeapCounts counts;
    HeapVariance variance;
    double before_bytes = 0;
    double before_allocations = 0;
};

HeapSiteColumns site_columns(const HeapLedger& ledger, const std::vector<HeapDelta>& overlay);
// The stacks that hold anything.
HeapHeldColumns held_columns(const HeapLedger& ledger, const std::vector<HeapDelta>& overlay);
HeapThreadColumns thread_columns(const HeapLedger& ledger, const std::vector<HeapDelta>& overlay);
HeapSums sums(const HeapLedger& ledger, const std::vector<HeapDelta>& overlay);

// By bytes: 0, then powers of two.
HeapHistogramColumns size_columns(const HeapLedger& ledger, const std::vector<HeapDelta>& overlay);
// By seconds since the allocation: 0, 1, 10, 60, 600, 3600, 86400. `seconds` of a coarse unit.
HeapHistogramColumns age_columns(const HeapLedger& ledger, const std::vector<HeapDelta>& overlay,
                                 uint64_t now, double seconds);

// Of each stack's row: frees until now.
std::vector<double> frees_of_stacks(const HeapLedger& ledger, const std::vector<HeapDelta>& overlay);
HeapSurvivorColumns survivor_columns(const HeapLedger& ledger, const std::vector<HeapDelta>& overlay,
                                     const HeapMark& mark);

// What lives now has lived at once: a peak that only the windows saw.
void raise_peaks(HeapLedger& ledger, const std::vector<HeapDelta>& overlay);

}  // namespace offheap::addon
