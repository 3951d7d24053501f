// A thread's place in its lane: an event goes into the lane's present chunk, and out by moving its head.
#pragma once

#include <stdint.h>

#include "native/wire/heap.h"
#include "preload/record/channel.h"
#include "preload/record/heap_foreign_releases.h"
#include "preload/runtime/clock.h"

namespace offheap::record {

// Private to the thread; all zeros at first and after close_lane().
struct HeapLane {
    wire::HeapEvent* next;  // where the next event goes; equal to `end` where a chunk is wanted
    wire::HeapEvent* end;
    wire::HeapEvent* window;  // null while the thread has no lane
    wire::Lane* lane;
    uint64_t latest;               // of the times of what was published
    uint64_t head_of_next;         // the lane's head is this plus a 32nd of the address `next`
    uint64_t bytes_before_sample;  // to be allocated before the byte that `sampled` records
    uint64_t random;
    uint32_t sample_bytes;   // the mean that they were drawn with
    uint32_t untold_thread;  // to be told by a `thread` event before any other; 0 once it is
    uint32_t number;
    uint32_t chunk;                            // plus one; 0: none yet
    uint8_t younger[wire::kWindowEvents / 2];  // of each set of the window, the way that was filled last
};

// Makes sure that `lane.next` is a place: takes the next chunk, waits for the collector where the mode asks
// for it, and counts the event as lost when there is no place to be had.
bool make_place(Channel& channel, HeapLane& lane);

// The time that a collector keeps; 0: the clock must be read.
inline uint64_t kept_time(const Channel& channel) {
    return __atomic_load_n(&channel.header()->heap_time, __ATOMIC_ACQUIRE);  // [time]
}

// Looks whether the time is kept still, once in a while.
void doubt_kept_time(Channel& channel);

inline bool has_counter(const Channel& channel) {
    return __builtin_expect(channel.header()->clock == static_cast<uint32_t>(wire::Clock::kTimeStampCounter),
                            1);
}

// The present time; the processor may take it before it has made the loads that come first in the program.
inline uint64_t early_time(const Channel& channel) {
    return has_counter(channel) ? runtime::read_time_stamp_counter() : channel.now();
}

// The present time, behind all loads that come first: later than any time that another thread has taken
// before it passed on what we were given. Twice the price.
inline uint64_t ordered_time(const Channel& channel) {
    asm volatile("lfence" ::: "memory");
    return early_time(channel);
}

// The event at `next` is written, and goes out with the next show(): at once, or, were the thread interrupted
// for good before that, with the event that follows.
inline void commit(HeapLane& lane) {
    ++lane.next;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

inline uint64_t head_of(const HeapLane& lane) {
    return lane.head_of_next + reinterpret_cast<uint64_t>(lane.next) / sizeof(wire::HeapEvent);
}

inline void show(HeapLane& lane) {
    __atomic_store_n(&lane.lane->head, head_of(lane), __ATOMIC_RELEASE);  // [head]
}

// Of what is told behind all that was published.
inline uint64_t next_time(const Channel& channel, const HeapLane& lane) {
    const uint64_t kept = kept_time(channel);
    const uint64_t now = kept != 0 ? kept : early_time(channel);
    return now < lane.latest ? lane.latest : now;
}

inline bool has_place(Channel& channel, HeapLane& lane) {
    return __builtin_expect(lane.next != lane.end, 1) || make_place(channel, lane);
}

// The time of the event; 0: there was no place, the event is lost and counted.
inline uint64_t put_event(Channel& channel, HeapLane& lane, wire::HeapEventKind kind, uint64_t address,
                          uint64_t bytes, uint32_t stack, uint32_t sampled_every) {
    if (!has_place(channel, lane)) return 0;
    // After the waiting for a place, if there was any: a lane's releases are in the order of their times.
    uint64_t time = kept_time(channel);
    if (__builtin_expect(time == 0, 0)) time = ordered_time(channel);
    const uint64_t of_address = foreign_release_time(address);
    if (time < of_address) time = of_address;
    if (time < lane.latest) time = lane.latest;
    ++time;
    lane.latest = time;
    // First of all stores: what is locked waits for those before it, which go to lines that the collector
    // has.
    note_foreign_release(address, time);
    *lane.next = {wire::heap_word(kind, address), time, bytes, stack, sampled_every};
    commit(lane);
    show(lane);
    constexpr uint64_t kEventsWithoutDoubt = 16;
    if (reinterpret_cast<uint64_t>(lane.next) % (kEventsWithoutDoubt * sizeof(wire::HeapEvent)) == 0) {
        doubt_kept_time(channel);
    }
    return time;
}

// Publishes an event as it is, at the present time.
inline void publish(Channel& channel, HeapLane& lane, wire::HeapEventKind kind, uint64_t address,
                    uint64_t bytes, uint32_t stack, uint32_t sampled_every) {
    put_event(channel, lane, kind, address, bytes, stack, sampled_every);
}

}  // namespace offheap::record
