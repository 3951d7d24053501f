// Blocks that came and went inside the window, counted by stack: 256 entries chosen by the stack. One that is
// wanted for another stack is published as a `temporaries` event.
#pragma once

#include "preload/record/heap_publish.h"

namespace offheap::record {

// `stack` and `count` in one word, so that they change together.
inline uint64_t* stack_and_count(wire::Temporaries& entry) {
    return reinterpret_cast<uint64_t*>(&entry.stack);
}
inline constexpr uint32_t kCountShift = 32;
static_assert(offsetof(wire::Temporaries, count) == 4 && sizeof(wire::Temporaries) == 16);

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

inline void count_temporary(Channel& channel, HeapLane& lane, uint32_t stack, uint64_t bytes) {
    wire::Temporaries& entry = temporaries_entry(lane, stack);
    const uint64_t word = __atomic_load_n(stack_and_count(entry), __ATOMIC_RELAXED);
    uint64_t counted, sum;
    if (__builtin_expect(static_cast<uint32_t>(word) != stack ||
                             __builtin_add_overflow(word, 1ULL << kCountShift, &counted) ||
                             __builtin_add_overflow(entry.bytes, bytes, &sum),
                         0)) {
        change_temporaries(channel, lane, entry, stack, bytes);
        return;
    }
    __atomic_store_n(&entry.bytes, sum, __ATOMIC_RELAXED);
    __atomic_store_n(stack_and_count(entry), counted, __ATOMIC_RELEASE);  // [window]
}

}  // namespace offheap::record
