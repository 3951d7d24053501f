#include "preload/record/heap_window.h"

#include "preload/record/heap_sampled_set.h"

namespace offheap::record {

using wire::HeapEvent;
using wire::HeapEventKind;

uint64_t foreign_releases[1u << kForeignReleaseBits];

namespace {

// Published, then cleared: a reader that finds it in both places knows it by its time.
void publish_entry(Channel& channel, HeapLane& lane, HeapEvent& entry) {
    if (has_place(channel, lane)) {
        *lane.next = entry;
        move_head(lane);
    }
    clear_entry(entry);
}

}  // namespace

HeapEvent& empty_entry(Channel& channel, HeapLane& lane, WindowSet& set, uint64_t word) {
    HeapEvent* entry;
    if (window_word(set.entries[0]) == word) {
        entry = &set.entries[0];
    } else if (window_word(set.entries[1]) == word) {
        entry = &set.entries[1];
    } else {
        entry = &set.entries[set.entries[0].time <= set.entries[1].time ? 0 : 1];
    }
    publish_entry(channel, lane, *entry);
    return *entry;
}

bool publish_release(Channel& channel, HeapLane& lane, HeapEventKind kind, uint64_t address,
                     HeapEvent* entry) {
    if (entry != nullptr) publish_entry(channel, lane, *entry);
    // What an earlier mode sampled is followed in this one too; its address may come again unsampled.
    const bool was_sampled = take_sampled(address);
    note_foreign_release(address, put_event(channel, lane, kind, address, 0, 0, 0));
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
    HeapEvent& entry = entry_for(channel, lane, *window_set(lane, address), resting.address);
    fill_entry(entry, resting.address, resting.time, resting.bytes, resting.stack, resting.sampled_every);
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
