#include "preload/python/readable_pages.h"

#include "preload/unwind/stack_memory.h"

namespace offheap::python {

ReadablePages readable_pages;

__attribute__((noinline)) bool ReadablePages::ask(uint64_t page) {
    if (!unwind::is_readable(page * kPageBytes)) return false;
    __atomic_store_n(&pages_[page % kPages], page, __ATOMIC_RELAXED);
    return true;
}

void ReadablePages::forget(uint64_t start, uint64_t end) {
    const uint64_t first = start / kPageBytes;
    const uint64_t last = (end - 1) / kPageBytes;
    if (end <= start) return;
    // A slot for each page, or each slot once.
    const uint64_t slots = last - first < kPages ? last - first + 1 : kPages;
    for (uint64_t i = 0; i < slots; ++i) {
        uint64_t& slot = pages_[(first + i) % kPages];
        const uint64_t page = __atomic_load_n(&slot, __ATOMIC_RELAXED);
        if (page == 0 || page - first > last - first) continue;
        __atomic_store_n(&slot, 0, __ATOMIC_RELAXED);
        __atomic_fetch_add(&epoch_, 1, __ATOMIC_RELAXED);
    }
}

}  // namespace offheap::python
