// When blocks were released last that did not rest in the window of the thread that freed them: times by
// address, in a small table that the process's threads share. Different addresses may meet in one place of
// it, and the later time stays. Times of allocations stand there too where they are not the kept time's: a
// thread that reads the clock may be ahead of one that doesn't.
//
// It answers three questions that a thread can't answer from its own lane:
//   - Does an entry of my window still stand for a living block? Another thread may have freed the block and
//     got it again; what I am about to free is then that thread's, and does not cancel my entry.
//   - When may the block that I was given have been released before? The time-stamp counter may be read
//     before the loads that precede it in the program have been made, but not this table: an allocation is
//     stamped later than what it finds here.
//   - How late must a release be stamped to come after what was told of its address?
// In all cases the block came to this thread by the allocator's or the program's own synchronisation, with
// what the releasing thread wrote before: no order is needed here.
#pragma once

#include "preload/record/heap_hash.h"

namespace offheap::record {

inline constexpr uint32_t kForeignReleaseBits = 11;
extern __attribute__((visibility("hidden"))) uint64_t foreign_releases[1u << kForeignReleaseBits];

inline uint64_t& foreign_release_place(uint64_t address) {
    return foreign_releases[hash_address(address) >> (64 - kForeignReleaseBits)];
}

// An allocation of this address that comes later is not stamped earlier.
inline uint64_t foreign_release_time(uint64_t address) {
    return __atomic_load_n(&foreign_release_place(address), __ATOMIC_RELAXED);
}

inline void note_foreign_time(uint64_t address, uint64_t time) {
    uint64_t& place = foreign_release_place(address);
    uint64_t latest = __atomic_load_n(&place, __ATOMIC_RELAXED);
    while (latest < time && !__atomic_compare_exchange_n(&place, &latest, time, /*weak=*/true,
                                                         __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

inline void note_foreign_release(uint64_t address, uint64_t released_at) {
    note_foreign_time(address, released_at + 1);
}

}  // namespace offheap::record
