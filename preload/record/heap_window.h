// The allocations that a thread made last rest in its lane's window: most are freed by the same thread soon
// and never cross. 128 sets of two, one cache line each. Written by the thread alone, read by the collector
// at any moment ([window] in native/wire/heap.h).
#pragma once

#include "preload/record/heap_foreign_releases.h"
#include "preload/record/heap_publish.h"
#include "preload/record/heap_temporaries.h"

namespace offheap::record {

struct WindowSet {
    wire::HeapEvent entries[2];
};
inline constexpr uint32_t kWindowSets = wire::kWindowEvents / 2;
static_assert(sizeof(WindowSet) == 64 && kWindowSets == 128);

inline WindowSet* window_set(const HeapLane& lane, uint64_t address) {
    return reinterpret_cast<WindowSet*>(lane.window) + (hash_address(address) >> 57);
}

inline uint64_t window_word(const wire::HeapEvent& entry) {
    return __atomic_load_n(&entry.address, __ATOMIC_RELAXED);
}

inline void clear_entry(wire::HeapEvent& entry) { __atomic_store_n(&entry.address, 0, __ATOMIC_RELAXED); }

// [window]: over an empty entry; its address comes last.
inline void fill_entry(wire::HeapEvent& entry, uint64_t word, uint64_t time, uint64_t bytes, uint32_t stack,
                       uint32_t sampled_every) {
    // Each store releases: none comes before the clearing of the address, and the address after all.
    __atomic_store_n(&entry.time, time, __ATOMIC_RELEASE);
    __atomic_store_n(&entry.bytes, bytes, __ATOMIC_RELEASE);
    __atomic_store_n(&entry.stack, stack, __ATOMIC_RELEASE);
    __atomic_store_n(&entry.sampled_every, sampled_every, __ATOMIC_RELEASE);
    __atomic_store_n(&entry.address, word, __ATOMIC_RELEASE);
}

// An empty entry of a set that has none, or has an entry of the same address: publishes that one, else the
// older.
wire::HeapEvent& empty_entry(Channel& channel, HeapLane& lane, WindowSet& set, uint64_t word);

// The entry of the set to be filled with `word`.
inline wire::HeapEvent& entry_for(Channel& channel, HeapLane& lane, WindowSet& set, uint64_t word) {
    const uint64_t first = window_word(set.entries[0]);
    const uint64_t second = window_word(set.entries[1]);
    if (first == 0 && second != word) return set.entries[0];
    if (second == 0 && first != word) return set.entries[1];
    return empty_entry(channel, lane, set, word);
}

// The entry of that address, null when the window has none.
inline wire::HeapEvent* find_entry(HeapLane& lane, uint64_t address) {
    WindowSet* set = window_set(lane, address);
    const uint64_t word = wire::heap_word(wire::HeapEventKind::kAllocation, address);
    if (window_word(set->entries[0]) == word) return &set->entries[0];
    if (window_word(set->entries[1]) == word) return &set->entries[1];
    return nullptr;
}

// After the block was allocated. If the window holds the address already, another thread has freed that
// block: it is published then, not replaced.
inline void note_allocation(Channel& channel, HeapLane& lane, uint64_t address, uint64_t bytes,
                            uint32_t stack) {
    const uint64_t word = wire::heap_word(wire::HeapEventKind::kAllocation, address);
    wire::HeapEvent& entry = entry_for(channel, lane, *window_set(lane, address), word);
    const uint64_t now = early_time(channel);
    const uint64_t released = foreign_release_time(address);
    fill_entry(entry, word, now > released ? now : released + 1, bytes, stack, 0);
}

// Whether the block of an entry, present or none, is this thread's for certain.
inline bool rests_here(const wire::HeapEvent* entry, uint64_t address) {
    return entry != nullptr && foreign_release_time(address) < entry->time;
}

// Publishes a release of a block that doesn't rest in this thread's window. An entry of its address is
// published too, since another thread has released that block. Whether the block was a sampled one.
bool publish_release(Channel& channel, HeapLane& lane, wire::HeapEventKind kind, uint64_t address,
                     wire::HeapEvent* entry);

// Before the block is freed.
inline void note_release(Channel& channel, HeapLane& lane, uint64_t address) {
    wire::HeapEvent* entry = find_entry(lane, address);
    if (!rests_here(entry, address)) {
        publish_release(channel, lane, wire::HeapEventKind::kRelease, address, entry);
        return;
    }
    // Out of the window first: were the thread stopped for good in between, a count would be one short, and
    // what is live would be right.
    const uint64_t bytes = entry->bytes;
    const uint32_t stack = entry->stack;
    clear_entry(*entry);
    count_temporary(channel, lane, stack, bytes);
}

// A release that may fail to happen. One of the two that follow `begin` must be called.
struct Reallocation {
    wire::HeapEvent resting;  // what the window held, else with address 0
    bool was_sampled;
};
Reallocation begin_reallocation(Channel& channel, HeapLane& lane, uint64_t address);
void finish_reallocation(Channel& channel, HeapLane& lane, const Reallocation& reallocation);
void undo_reallocation(Channel& channel, HeapLane& lane, uint64_t address, const Reallocation& reallocation);

// Publishes what rests in the window and the temporaries: when a thread ends, or the mode is switched and
// frees of these blocks will not be noted any more.
void publish_resting(Channel& channel, HeapLane& lane);

}  // namespace offheap::record
