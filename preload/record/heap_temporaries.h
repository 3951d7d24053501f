// Blocks that came and went inside the window, counted by stack: 256 entries chosen by the stack. One that is
// wanted for another stack is published as a `temporaries` event.
#pragma once

#include "preload/record/heap_publish.h"

namespace offheap::record {

inline wire::Temporaries& temporaries_entry(const HeapLane& lane, uint32_t stack) {
    auto* entries = reinterpret_cast<wire::Temporaries*>(reinterpret_cast<uint8_t*>(lane.window) +
                                                         wire::kTemporariesOffset);
    return entries[stack * 0x9e3779b1u >> 24];
}

// Publishes the entry, which is another stack's or full, and counts the block in its place.
void change_temporaries(Channel& channel, HeapLane& lane, wire::Temporaries& entry, uint32_t stack,
                        uint64_t bytes);

// Publishes and empties an entry.
void publish_temporaries(Channel& channel, HeapLane& lane, wire::Temporaries& entry);

// Counts a block in its stack's entry, after `take` has taken it from where it was. False where the entry is
// another stack's or full: nothing was done.
template <typename Take>
__attribute__((always_inline)) inline bool count_temporary_at_once(HeapLane& lane, uint32_t stack,
                                                                   uint64_t bytes, const Take& take) {
    wire::Temporaries& entry = temporaries_entry(lane, stack);
    uint32_t count;
    uint64_t sum;
    if (__builtin_expect(entry.stack != stack || __builtin_add_overflow(entry.count, 1u, &count) ||
                             __builtin_add_overflow(entry.bytes, bytes, &sum),
                         0)) {
        return false;
    }
    take();
    __atomic_store_n(&entry.bytes, sum, __ATOMIC_RELAXED);
    __atomic_store_n(&entry.count, count, __ATOMIC_RELEASE);  // [window]
    return true;
}

inline void count_temporary(Channel& channel, HeapLane& lane, uint32_t stack, uint64_t bytes) {
    if (count_temporary_at_once(lane, stack, bytes, [] {})) return;
    change_temporaries(channel, lane, temporaries_entry(lane, stack), stack, bytes);
}

}  // namespace offheap::record
