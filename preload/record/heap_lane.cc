#include "preload/record/heap_lane.h"

#include "preload/record/signals_blocked.h"

namespace offheap::record {

using wire::Header;
using wire::Lane;

namespace {

// `lanes_free`: the number of the first free lane plus one, below a count that rises with every change: a
// lane that was taken and given back meanwhile must not be mistaken for an unchanged stack.
constexpr uint64_t free_word(uint64_t before, uint32_t first_plus_one) {
    return ((before >> 32) + 1) << 32 | first_plus_one;
}

// The number plus one; 0 when none is free.
uint32_t take_free_lane(Header* header) {
    uint64_t word = __atomic_load_n(&header->lanes_free, __ATOMIC_ACQUIRE);  // [lane]
    while (static_cast<uint32_t>(word) != 0) {
        const auto first = static_cast<uint32_t>(word);
        const uint32_t next = __atomic_load_n(&wire::lane_at(header, first - 1)->next_free, __ATOMIC_RELAXED);
        // [lane] partner: give_lane_back's release; the last user's changes are seen.
        if (__atomic_compare_exchange_n(&header->lanes_free, &word, free_word(word, next), /*weak=*/true,
                                        __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
            return first;
        }
    }
    return 0;
}

void give_lane_back(Header* header, uint32_t number) {
    uint64_t word = __atomic_load_n(&header->lanes_free, __ATOMIC_RELAXED);
    do {
        __atomic_store_n(&wire::lane_at(header, number)->next_free, static_cast<uint32_t>(word),
                         __ATOMIC_RELAXED);
    } while (!__atomic_compare_exchange_n(&header->lanes_free, &word, free_word(word, number + 1),
                                          /*weak=*/true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));  // [lane]
}

// The number plus one; 0 when the table is full or its memory can't be had.
uint32_t take_new_lane(Channel& channel) {
    Header* header = channel.header();
    uint64_t used = __atomic_load_n(&header->lanes_used, __ATOMIC_RELAXED);
    for (;;) {
        // Backed before it counts as used: readers look at all that do.
        if (used >= header->lanes_capacity || !channel.reserve_lane(static_cast<uint32_t>(used))) return 0;
        if (__atomic_compare_exchange_n(&header->lanes_used, &used, used + 1, /*weak=*/true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
            return static_cast<uint32_t>(used) + 1;
        }
    }
}

}  // namespace

bool open_lane(Channel& channel, HeapLane& lane, uint32_t thread_id) {
    const SignalsBlocked signals_blocked;
    Header* header = channel.header();
    uint32_t taken = take_free_lane(header);
    if (taken == 0) taken = take_new_lane(channel);
    if (taken == 0) return false;
    Lane* shared = wire::lane_at(header, taken - 1);
    __atomic_store_n(&shared->thread_id, thread_id, __ATOMIC_RELAXED);
    __atomic_store_n(&shared->in_use, 1, __ATOMIC_RELEASE);
    lane.lane = shared;
    lane.number = taken - 1;
    lane.chunk = __atomic_load_n(&shared->last_chunk, __ATOMIC_RELAXED);
    // No place yet: a thread whose blocks all come and go in the window needs no chunk, and the first event
    // goes behind one that names the thread.
    lane.next = nullptr;
    lane.end = nullptr;
    lane.bytes_before_sample = 0;
    lane.sample_bytes = 0;
    // Later than all that the lane's former users have told.
    lane.latest = early_time(channel);
    lane.head_of_next = __atomic_load_n(&shared->head, __ATOMIC_RELAXED);
    lane.untold_thread = thread_id;
    lane.window = wire::window_of(header, lane.number);
    return true;
}

void close_lane(Channel& channel, HeapLane& lane) {
    if (lane.window == nullptr) return;
    publish_resting(channel, lane);
    const SignalsBlocked signals_blocked;
    __atomic_store_n(&lane.lane->in_use, 0, __ATOMIC_RELEASE);
    give_lane_back(channel.header(), lane.number);
    lane = {};
}

void emit_alone(Channel& channel, uint32_t thread_id, wire::HeapEventKind kind, uint64_t address,
                uint64_t bytes, uint32_t stack, uint32_t sampled_every) {
    // A lane that was left by siglongjmp would never be given back.
    const SignalsBlocked signals_blocked;
    HeapLane lane = {};
    if (!open_lane(channel, lane, thread_id)) {
        __atomic_fetch_add(&channel.header()->heap_without_lane, 1, __ATOMIC_RELAXED);
        return;
    }
    put_event(channel, lane, kind, address, bytes, stack, sampled_every);
    close_lane(channel, lane);
}

}  // namespace offheap::record
