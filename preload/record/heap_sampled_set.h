// The addresses of the live blocks that `sampled` has recorded, for the whole process, in private memory. A
// free looks at one byte of a counting filter; only if that is not zero, at the set itself.
//
// Memory order:
//   [sampled]  insert's release of the filter's count and the slot → the look before a free. A block reaches
//              the thread that frees it by the program's own synchronisation, so what its allocation wrote is
//              seen; the order says so where the program's is none of ours.
#pragma once

#include <stdint.h>

#include "preload/record/heap_hash.h"

namespace offheap::record {

inline constexpr uint32_t kFilterBits = 16;
extern __attribute__((visibility("hidden"))) uint8_t sampled_filter[1u << kFilterBits];

// Neighbours have neighbouring counts: no hash, which every free would pay for.
inline uint8_t& filter_count(uint64_t address) {
    return sampled_filter[address >> 4 & ((1u << kFilterBits) - 1)];
}

// False when there is no room: the block's release would not be told.
bool add_sampled(uint64_t address);

// The set itself; false when the address isn't there.
bool remove_sampled(uint64_t address);

// False for nearly all blocks that were not recorded.
inline bool may_be_sampled(uint64_t address) {
    return __builtin_expect(__atomic_load_n(&filter_count(address), __ATOMIC_ACQUIRE) != 0, 0);  // [sampled]
}

// Whether a block that is about to be freed was recorded; it no longer counts as such then, and the caller
// must tell its release by publish().
inline bool take_sampled(uint64_t address) { return may_be_sampled(address) && remove_sampled(address); }

// In a forked child, before its channel is used: its parent's blocks aren't on record there.
void forget_sampled();

}  // namespace offheap::record
