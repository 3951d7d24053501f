#include "preload/python/readable_pages.h"

#include "preload/unwind/stack_memory.h"

namespace offheap::python {

ReadablePages readable_pages;

__attribute__((noinline)) bool ReadablePages::find_or_ask(uint64_t page) {
    uint64_t* const places = places_of(page);
    for (uint64_t i = 1; i < kPlaces; ++i) {
        if (__atomic_load_n(&places[i], __ATOMIC_RELAXED) == page) return true;
    }
    if (!unwind::is_readable(page * kPageBytes)) return false;
    for (uint64_t i = 0; i < kPlaces; ++i) {
        uint64_t none = 0;
        if (__atomic_compare_exchange_n(&places[i], &none, page, /*weak=*/false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
            return true;
        }
    }
    // The release of the page that stands there will go unnoticed.
    __atomic_store_n(&places[page / kSets % kPlaces], page, __ATOMIC_RELAXED);
    rise();
    return true;
}

void ReadablePages::forget(uint64_t start, uint64_t end) {
    const uint64_t first = start / kPageBytes;
    const uint64_t last = (end - 1) / kPageBytes;
    if (end <= start) return;
    // A set for each page, or each set once.
    const uint64_t sets = last - first < kSets ? last - first + 1 : kSets;
    for (uint64_t i = 0; i < sets; ++i) {
        uint64_t* const places = places_of(first + i);
        for (uint64_t at = 0; at < kPlaces; ++at) {
            const uint64_t page = __atomic_load_n(&places[at], __ATOMIC_RELAXED);
            if (page == 0 || page - first > last - first) continue;
            __atomic_store_n(&places[at], 0, __ATOMIC_RELAXED);
            rise();
        }
    }
}

}  // namespace offheap::python
