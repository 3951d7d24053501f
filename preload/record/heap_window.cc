#include "preload/record/heap_window.h"

#include "preload/record/heap_sampled_set.h"

namespace offheap::record {

using wire::HeapEvent;
using wire::HeapEventKind;

uint64_t foreign_releases[1u << kForeignReleaseBits];

namespace {

// Published, then cleared: a reader that finds it in both places knows it by its time. mend_lane() clears it
// for a thread that was interrupted for good in between.
void publish_entry(Channel& channel, HeapLane& lane, HeapEvent& entry) {
    if (has_place(channel, lane)) {
        if (lane.latest < entry.time) lane.latest = entry.time;
        *lane.next = entry;
        commit(lane);
        show(lane);
    }
    clear_entry(entry);
}

// Where the set has no empty entry, or holds the address: publishes that entry, else the older, and takes its
// place.
void rest(Channel& channel, HeapLane& lane, uint64_t address, uint64_t time, uint64_t bytes, uint32_t stack) {
    if (rest_in_empty_entry(lane, address, time, bytes, stack)) return;
    HeapEvent* const set = window_set(lane, address);
    const HeapEvent* const entry = find_entry(lane, address);
    const uint32_t younger = lane.younger[window_set_number(address)] & 1;
    const uint32_t way = entry != nullptr ? static_cast<uint32_t>(entry - set) : 1 - younger;
    publish_entry(channel, lane, set[way]);
    fill_way(lane, address, way, time, bytes, stack);
}

uint64_t allocation_time(const Channel& channel, uint64_t address) {
    const uint64_t released = foreign_release_time(address);
    const uint64_t kept = kept_time(channel);
    const uint64_t now = kept != 0 ? kept : early_time(channel);
    const uint64_t time = now < released ? released : now;
    if (__builtin_expect(kept == 0, 0)) note_foreign_time(address, time);
    return time;
}

}  // namespace

void note_allocation(Channel& channel, HeapLane& lane, uint64_t address, uint64_t bytes, uint32_t stack) {
    rest(channel, lane, address, allocation_time(channel, address), bytes, stack);
}

void note_release(Channel& channel, HeapLane& lane, uint64_t address) {
    release_entry(channel, lane, address, find_entry(lane, address));
}

void release_entry(Channel& channel, HeapLane& lane, uint64_t address, HeapEvent* entry) {
    if (!rests_here(entry, address)) {
        publish_release(channel, lane, HeapEventKind::kRelease, address, entry);
        return;
    }
    const uint64_t bytes = entry->bytes;
    const uint32_t stack = entry->stack;
    clear_entry(*entry);
    count_temporary(channel, lane, stack, bytes);
}

bool publish_release(Channel& channel, HeapLane& lane, HeapEventKind kind, uint64_t address,
                     HeapEvent* entry) {
    if (entry != nullptr) publish_entry(channel, lane, *entry);
    // What an earlier mode sampled is followed in this one too; its address may come again unsampled.
    const bool was_sampled = take_sampled(address);
    put_event(channel, lane, kind, address, 0, 0, 0);
    return was_sampled;
}

Reallocation begin_reallocation(Channel& channel, HeapLane& lane, uint64_t address) {
    Reallocation reallocation = {};
    HeapEvent* entry = find_entry(lane, address);
    if (rests_here(entry, address)) {
        reallocation.resting = *entry;
        clear_entry(*entry);
    } else {
        reallocation.was_sampled =
            publish_release(channel, lane, HeapEventKind::kReallocation, address, entry);
    }
    return reallocation;
}

void finish_reallocation(Channel& channel, HeapLane& lane, const Reallocation& reallocation) {
    const HeapEvent& resting = reallocation.resting;
    if (resting.address != 0) count_temporary(channel, lane, resting.stack, resting.bytes);
}

void undo_reallocation(Channel& channel, HeapLane& lane, uint64_t address, const Reallocation& reallocation) {
    const HeapEvent& resting = reallocation.resting;
    if (resting.address == 0) {
        if (reallocation.was_sampled) add_sampled(address);
        put_event(channel, lane, HeapEventKind::kUndone, address, 0, 0, 0);
        return;
    }
    rest(channel, lane, address, resting.time, resting.bytes, resting.stack);
}

void mend_lane(HeapLane& lane) {
    if (lane.end == nullptr) return;  // nothing was published
    show(lane);
    const HeapEvent* first = lane.end - wire::kChunkEvents;
    if (lane.next == first) return;
    const HeapEvent& last = lane.next[-1];
    if (wire::heap_kind(last) != HeapEventKind::kAllocation) return;
    HeapEvent* entry = find_entry(lane, wire::heap_address(last));
    if (entry != nullptr && entry->time == last.time) clear_entry(*entry);
}

void publish_resting(Channel& channel, HeapLane& lane) {
    for (uint32_t i = 0; i < wire::kWindowEvents; ++i) {
        if (window_word(lane.window[i]) != 0) publish_entry(channel, lane, lane.window[i]);
    }
    auto* temporaries = reinterpret_cast<wire::Temporaries*>(reinterpret_cast<uint8_t*>(lane.window) +
                                                             wire::kTemporariesOffset);
    for (uint32_t i = 0; i < wire::kTemporariesEntries; ++i)
        publish_temporaries(channel, lane, temporaries[i]);
}

}  // namespace offheap::record
