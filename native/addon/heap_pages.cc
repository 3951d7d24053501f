#include "native/addon/heap_pages.h"

#include <algorithm>
#include <unordered_map>

namespace offheap::addon {
namespace {

void add_block(PageUse& use, uint64_t address, uint64_t bytes, uint32_t stack, AddressRange range) {
    const uint64_t start = std::max(address, range.start);
    const uint64_t end = std::min(address + bytes, range.end);
    if (start >= end) return;
    const uint64_t first = start / kHeapPageBytes, last = (end - 1) / kHeapPageBytes;
    const auto piece = [&](uint64_t page, uint64_t from, uint64_t to) {
        use.pieces.push_back({page, stack, static_cast<uint32_t>(to - from)});
    };
    if (first == last && end - start < kHeapPageBytes) return piece(first, start, end);
    const uint64_t first_full = (start + kHeapPageBytes - 1) / kHeapPageBytes,
                   full_end = end / kHeapPageBytes;
    if (first < first_full) piece(first, start, first_full * kHeapPageBytes);
    if (first_full < full_end) use.covered.push_back({first_full, full_end, stack});
    if (full_end * kHeapPageBytes < end) piece(full_end, full_end * kHeapPageBytes, end);
}

// Calls `visit(pieces of a page, count)`.
template <typename Visit>
void for_each_page(const PageUse& use, Visit visit) {
    for (size_t at = 0; at < use.pieces.size();) {
        size_t end = at + 1;
        while (end < use.pieces.size() && use.pieces[end].page == use.pieces[at].page) ++end;
        visit(&use.pieces[at], end - at);
        at = end;
    }
}

}  // namespace

PageUse page_use(const HeapLedger& ledger, const std::vector<RestingBlock>& resting, AddressRange range) {
    PageUse use;
    ledger.live().for_each_at([&](uint64_t address, const LiveBlock& block) {
        const HeapSite& site = ledger.sites()[block.site];
        if (site.sampled_every == 0) add_block(use, address, block.bytes, site.stack, range);
    });
    for (const RestingBlock& block : resting) {
        add_block(use, block.address, block.bytes, block.stack, range);
    }
    std::sort(use.pieces.begin(), use.pieces.end(), [](const PagePiece& a, const PagePiece& b) {
        return a.page != b.page ? a.page < b.page : a.stack < b.stack;
    });
    return use;
}

std::vector<AddressRange> partial_pages(const PageUse& use) {
    std::vector<AddressRange> pages;
    for_each_page(use, [&](const PagePiece* pieces, size_t) {
        pages.push_back({pieces->page * kHeapPageBytes, (pieces->page + 1) * kHeapPageBytes});
    });
    return pages;
}

HeapPins find_pins(const PageUse& use, const std::vector<bool>& is_resident) {
    HeapPins result;
    std::unordered_map<uint32_t, HeapPin> by_stack;
    size_t index = 0;
    for_each_page(use, [&](const PagePiece* pieces, size_t count) {
        if (!is_resident[index++]) return;
        uint64_t live = 0, most = 0, own = 0;
        uint32_t holder = 0;
        // In the order of their stacks.
        for (size_t i = 0; i < count; ++i) {
            own = i > 0 && pieces[i].stack == pieces[i - 1].stack ? own + pieces[i].bytes : pieces[i].bytes;
            live += pieces[i].bytes;
            if (own <= most) continue;
            most = own;
            holder = pieces[i].stack;
        }
        // Blocks whose release was lost may overlap.
        live = std::min(live, kHeapPageBytes);
        const bool is_one = static_cast<double>(most) >= kAlmostAll * static_cast<double>(live);
        HeapPin& pin = is_one ? by_stack[holder] : result.shared;
        ++pin.pages;
        pin.live_bytes += live;
        pin.free_bytes += kHeapPageBytes - live;
    });
    for (auto& [stack, pin] : by_stack) {
        pin.stack = stack;
        result.pins.push_back(pin);
    }
    std::sort(result.pins.begin(), result.pins.end(), [](const HeapPin& a, const HeapPin& b) {
        return a.free_bytes != b.free_bytes ? a.free_bytes > b.free_bytes : a.stack < b.stack;
    });
    return result;
}

}  // namespace offheap::addon
