// Which pages can be read without a fault: those that were asked about once and not released since.
//
// What an interpreter's structures point at is readable as long as the interpreter is well. Where it is not
// (a chain that somebody has overwritten, a thread's state that was freed at shutdown), a pointer may lead
// anywhere, and the target must live. The hooks see every release of memory, so what is remembered here is
// true but for the moment in which another thread is releasing it.
#pragma once

#include <stdint.h>

namespace offheap::python {

class ReadablePages {
  public:
    static constexpr uint64_t kSets = 4096;  // pages so far apart share a set
    static constexpr uint64_t kPlaces = 8;   // of a set: one cache line

    // True if the bytes can be read. The first time, each page costs a question to the kernel.
    bool contains(uint64_t address, uint64_t bytes) {
        const uint64_t last = (address + bytes - 1) / kPageBytes;
        for (uint64_t page = address / kPageBytes; page <= last; ++page) {
            if (__builtin_expect(__atomic_load_n(places_of(page), __ATOMIC_RELAXED) != page, 0) &&
                !find_or_ask(page)) {
                return false;
            }
        }
        // The first page's number is that of an empty place.
        return address >= kPageBytes && address + bytes > address;
    }

    // To be called for what is unmapped, moved, protected or overmapped, before it is and after.
    void forget(uint64_t start, uint64_t end);

    // Rises when pages are forgotten, or make room for others: what could be read while it is the same can be
    // read now.
    uint32_t epoch() const { return __atomic_load_n(&epoch_, __ATOMIC_RELAXED); }

  private:
    static constexpr uint64_t kPageBytes = 4096;

    uint64_t* places_of(uint64_t page) { return pages_[page % kSets]; }
    bool find_or_ask(uint64_t page);
    void rise() { __atomic_fetch_add(&epoch_, 1, __ATOMIC_RELAXED); }

    alignas(64) uint64_t pages_[kSets][kPlaces];  // by number; 0: none
    uint32_t epoch_;
};

// One for all threads.
extern ReadablePages readable_pages;

}  // namespace offheap::python
