// The allocations that a thread made last rest in its lane's window: most are freed by the same thread soon
// and never cross. 128 sets of two, one cache line each. Written by the thread alone, read by the collector
// at any moment ([window] in native/wire/heap.h).
#pragma once

#include "preload/record/heap_foreign_releases.h"
#include "preload/record/heap_publish.h"
#include "preload/record/heap_temporaries.h"

namespace offheap::record {

inline constexpr uint32_t kWindowWays = 2;
inline constexpr uint32_t kWindowSetBits = 7;
static_assert(wire::kWindowEvents == kWindowWays << kWindowSetBits && sizeof(wire::HeapEvent) == 32);

// The entries of the set where the address belongs.
inline uint64_t window_set_number(uint64_t address) { return hash_address(address) >> (64 - kWindowSetBits); }
inline wire::HeapEvent* window_set(const HeapLane& lane, uint64_t address) {
    wire::HeapEvent* const set = lane.window + window_set_number(address) * kWindowWays;
    if (set == nullptr) __builtin_unreachable();  // so that nobody asks whether an entry of it is null
    return set;
}

inline uint64_t resting_word(uint64_t address) {
    return uint64_t{static_cast<uint8_t>(wire::HeapEventKind::kAllocation)} << wire::kHeapKindShift | address;
}

inline uint64_t window_word(const wire::HeapEvent& entry) {
    return __atomic_load_n(&entry.address, __ATOMIC_RELAXED);
}

inline void clear_entry(wire::HeapEvent& entry) { __atomic_store_n(&entry.address, 0, __ATOMIC_RELAXED); }

// [window]: over an empty entry; its address comes last.
inline void fill_entry(wire::HeapEvent& entry, uint64_t word, uint64_t time, uint64_t bytes, uint32_t stack) {
    // Each store releases: none comes before the clearing of the address, and the address after all.
    __atomic_store_n(&entry.time, time, __ATOMIC_RELEASE);
    __atomic_store_n(&entry.bytes, bytes, __ATOMIC_RELEASE);
    // With `sampled_every`, which is 0 here.
    static_assert(offsetof(wire::HeapEvent, sampled_every) == offsetof(wire::HeapEvent, stack) + 4);
    __atomic_store_n(reinterpret_cast<uint64_t*>(&entry.stack), uint64_t{stack}, __ATOMIC_RELEASE);
    __atomic_store_n(&entry.address, word, __ATOMIC_RELEASE);
}

inline void fill_way(HeapLane& lane, uint64_t address, uint32_t way, uint64_t time, uint64_t bytes,
                     uint32_t stack) {
    lane.younger[window_set_number(address)] = static_cast<uint8_t>(way);
    fill_entry(window_set(lane, address)[way], resting_word(address), time, bytes, stack);
}

// False where the set has no empty entry, or holds the address.
__attribute__((always_inline)) inline bool rest_in_empty_entry(HeapLane& lane, uint64_t address,
                                                               uint64_t time, uint64_t bytes,
                                                               uint32_t stack) {
    const wire::HeapEvent* const set = window_set(lane, address);
    const uint64_t word = resting_word(address);
    const uint64_t first = window_word(set[0]);
    const uint64_t second = window_word(set[1]);
    if (first == 0 && second != word) {
        fill_way(lane, address, 0, time, bytes, stack);
    } else if (second == 0 && first != word) {
        fill_way(lane, address, 1, time, bytes, stack);
    } else {
        return false;
    }
    return true;
}

// The entry of that address, null when the window has none.
inline wire::HeapEvent* find_entry(const HeapLane& lane, uint64_t address) {
    wire::HeapEvent* set = window_set(lane, address);
    const uint64_t word = resting_word(address);
    if (window_word(set[0]) == word) return &set[0];
    if (window_word(set[1]) == word) return &set[1];
    return nullptr;
}

// After the block was allocated. If the window holds the address already, another thread has freed that
// block: it is published then, not replaced.
void note_allocation(Channel& channel, HeapLane& lane, uint64_t address, uint64_t bytes, uint32_t stack);

// What note_allocation() nearly always comes to. False: nothing was done.
__attribute__((always_inline)) inline bool note_allocation_at_once(const Channel& channel, HeapLane& lane,
                                                                   uint64_t address, uint64_t bytes,
                                                                   uint32_t stack) {
    const uint64_t kept = kept_time(channel);
    const uint64_t released = foreign_release_time(address);
    return __builtin_expect(kept != 0, 1) &&
           rest_in_empty_entry(lane, address, kept < released ? released : kept, bytes, stack);
}

// Whether the block of an entry, present or none, is this thread's for certain.
inline bool rests_here(const wire::HeapEvent* entry, uint64_t address) {
    return entry != nullptr && foreign_release_time(address) <= entry->time;
}

// Publishes a release of a block that doesn't rest in this thread's window. An entry of its address is
// published too, since another thread has released that block. Whether the block was a sampled one.
bool publish_release(Channel& channel, HeapLane& lane, wire::HeapEventKind kind, uint64_t address,
                     wire::HeapEvent* entry);

// Before the block is freed.
void note_release(Channel& channel, HeapLane& lane, uint64_t address);

// The same where its entry is known, present or none.
void release_entry(Channel& channel, HeapLane& lane, uint64_t address, wire::HeapEvent* entry);

// What that nearly always comes to. False: nothing was done.
__attribute__((always_inline)) inline bool note_release_at_once(HeapLane& lane, wire::HeapEvent* entry,
                                                                uint64_t address) {
    if (!rests_here(entry, address)) return false;
    // Out of the window first: were the thread stopped for good in between, a count would be one short, and
    // what is live would be right.
    return count_temporary_at_once(lane, entry->stack, entry->bytes, [&] { clear_entry(*entry); });
}

// A release that may fail to happen. One of the two that follow `begin` must be called.
struct Reallocation {
    wire::HeapEvent resting;  // what the window held, else with address 0
    bool was_sampled;
};
Reallocation begin_reallocation(Channel& channel, HeapLane& lane, uint64_t address);
void finish_reallocation(Channel& channel, HeapLane& lane, const Reallocation& reallocation);
void undo_reallocation(Channel& channel, HeapLane& lane, uint64_t address, const Reallocation& reallocation);

// To be called at the next use of a lane whose last one was left half-way by siglongjmp: finishes what it
// began.
void mend_lane(HeapLane& lane);

// Publishes what rests in the window and the temporaries: when a thread ends, or the mode is switched and
// frees of these blocks will not be noted any more.
void publish_resting(Channel& channel, HeapLane& lane);

}  // namespace offheap::record
