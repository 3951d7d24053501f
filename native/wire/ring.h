// The event ring: many producers (the target's threads), one consumer (whoever holds `consumer_lock`).
//
// Positions count up for ever; a position's slot is position % capacity. A producer takes a position by
// moving `ring_head`, fills the slot and commits it by storing position + 1 into `sequence`. The consumer
// reads slots in order and frees them by moving `ring_tail`. Nothing blocks: a full ring is reported to the
// caller. A producer that finds that it has left a position for good, since a signal handler jumped out of
// it, gives it up: readers pass over it at once, and count it as lost.
//
// Memory orders (cited at both ends):
//   [commit]  producer's release store of `sequence`  →  consumer's acquire load of it: the fields are
//   complete. [free]    consumer's release store of `ring_tail` →  producer's acquire load of it: the slot's
//   last reader is done.
#pragma once

#include "native/wire/layout.h"

namespace offheap::wire {

enum class Reserve : uint8_t { kReserved, kFull, kNeedsSpace };

struct Slot {
    Reserve outcome;
    uint64_t position;
};

inline Event* event_at(Header* header, uint64_t position) {
    auto* base = reinterpret_cast<uint8_t*>(header) + header->ring_offset;
    return reinterpret_cast<Event*>(base) + (position & (header->ring_capacity - 1));
}

// Takes the next position. `kNeedsSpace`: the slot's memory is not backed yet (`ring_reserved` bytes are);
// touching it could raise SIGBUS on a full file system, so the caller must reserve it first and call again.
inline Slot reserve(Header* header) {
    uint64_t head = __atomic_load_n(&header->ring_head, __ATOMIC_RELAXED);
    for (;;) {
        const uint64_t tail = __atomic_load_n(&header->ring_tail, __ATOMIC_ACQUIRE);  // [free]
        // A stale head may lie behind the tail: the difference is signed, and the exchange below then fails.
        if (static_cast<int64_t>(head - tail) >= static_cast<int64_t>(header->ring_capacity)) {
            return {Reserve::kFull, head};
        }
        if (head < header->ring_capacity &&
            (head + 1) * sizeof(Event) > __atomic_load_n(&header->ring_reserved, __ATOMIC_RELAXED)) {
            return {Reserve::kNeedsSpace, head};
        }
        if (__atomic_compare_exchange_n(&header->ring_head, &head, head + 1, /*weak=*/true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
            return {Reserve::kReserved, head};
        }
    }
}

inline void commit(Event* event, uint64_t position) {
    __atomic_store_n(&event->sequence, position + 1, __ATOMIC_RELEASE);  // [commit]
}

inline constexpr uint64_t kGivenUp = 1ULL << 63;  // with position + 1 in `sequence`

// What a slot's sequence says of a position.
enum class Filling : uint8_t { kPending, kCommitted, kGivenUp, kOverwritten };

constexpr Filling filling_of(uint64_t sequence, uint64_t position) {
    const uint64_t told = sequence & ~kGivenUp;  // by this round or, while that is pending, the one before
    if (told <= position) return Filling::kPending;
    if (told > position + 1) return Filling::kOverwritten;
    return sequence == told ? Filling::kCommitted : Filling::kGivenUp;
}

inline bool is_given_up(const Event* event, uint64_t position) {
    return filling_of(__atomic_load_n(&event->sequence, __ATOMIC_RELAXED), position) == Filling::kGivenUp;
}

// To be called by who has taken the position and never will commit it, or has committed it already. Readers
// may have lost patience by now, and others use the slot: nothing happens then.
inline void give_up(Header* header, uint64_t position) {
    // No order is needed: no field of the slot is told.
    const uint64_t tail = __atomic_load_n(&header->ring_tail, __ATOMIC_RELAXED);
    const uint64_t head = __atomic_load_n(&header->ring_head, __ATOMIC_RELAXED);
    if (position < tail || position >= head) return;
    Event* event = event_at(header, position);
    uint64_t sequence = __atomic_load_n(&event->sequence, __ATOMIC_RELAXED);
    if (filling_of(sequence, position) != Filling::kPending) return;
    __atomic_compare_exchange_n(&event->sequence, &sequence, (position + 1) | kGivenUp, /*weak=*/false,
                                __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

inline bool is_committed(const Event* event, uint64_t position) {
    return __atomic_load_n(&event->sequence, __ATOMIC_ACQUIRE) == position + 1;  // [commit]
}

inline void free_until(Header* header, uint64_t position) {
    __atomic_store_n(&header->ring_tail, position, __ATOMIC_RELEASE);  // [free]
}

}  // namespace offheap::wire
