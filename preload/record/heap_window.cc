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

}  // namespace

void rest_in_full_set(Channel& channel, HeapLane& lane, uint64_t address, uint64_t time, uint64_t bytes,
                      uint32_t stack) {
    HeapEvent* const set = window_set(lane, address);
    const HeapEvent* const entry = find_entry(lane, address);
    const uint32_t younger = lane.younger[(set - lane.window) / kWindowWays] & 1;
    const uint32_t way = entry != nullptr ? static_cast<uint32_t>(entry - set) : 1 - younger;
    publish_entry(channel, lane, set[way]);
    fill_way(lane, set, way, resting_word(address), time, bytes, stack);
}

void note_allocation_by_clock(Channel& channel, HeapLane& lane, uint64_t address, uint64_t bytes,
                              uint32_t stack) {
    const uint64_t released = foreign_release_time(address);
    const uint64_t now = early_time(channel);
    const uint64_t time = now < released ? released : now;
    note_foreign_time(address, time);
    rest(channel, lane, address, time, bytes, stack);
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
