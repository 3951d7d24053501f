// Live allocations page by page: who keeps which page in memory. Of mode `exact`, where all of them are
// known.
#pragma once

#include <stdint.h>

#include <vector>

#include "native/addon/address_range.h"
#include "native/addon/heap_ledger.h"

namespace offheap::addon {

inline constexpr uint64_t kHeapPageBytes = 4096;

// A part of a page that a live allocation covers, less than all of it.
struct PagePiece {
    uint64_t page = 0;  // its number
    uint32_t stack = 0;
    uint32_t bytes = 0;
};

// What lives in the pages of a range: pieces in the order of their pages, and pages that one block covers.
struct PageUse {
    std::vector<PagePiece> pieces;
    struct Covered {
        uint64_t first, end;  // pages
        uint32_t stack;
    };
    std::vector<Covered> covered;
};

// Of all live blocks that reach into `range`; `resting` are those that were not published yet.
PageUse page_use(const HeapLedger& ledger, const std::vector<RestingBlock>& resting, AddressRange range);

// What the live allocations of one stack keep in memory: pages of which at least kAlmostAll of what lives is
// theirs.
struct HeapPin {
    uint32_t stack = 0;
    uint64_t pages = 0;
    uint64_t live_bytes = 0;
    uint64_t free_bytes = 0;  // the rest of these pages: nobody lives there
};
inline constexpr double kAlmostAll = 0.9;

struct HeapPins {
    std::vector<HeapPin> pins;  // most free bytes first
    HeapPin shared;             // pages that several stacks hold
};

// The pages with pieces, each once, in order.
std::vector<AddressRange> partial_pages(const PageUse& use);

// `is_resident` of each of partial_pages().
HeapPins find_pins(const PageUse& use, const std::vector<bool>& is_resident);

}  // namespace offheap::addon
