#include "preload/record/heap_temporaries.h"

namespace offheap::record {

void publish_temporaries(Channel& channel, HeapLane& lane, wire::Temporaries& entry) {
    // The place comes before the entry is cleared: waiting for one may take long, and a reader that comes
    // meanwhile must find the count somewhere.
    const bool has_room = entry.count != 0 && has_place(channel, lane);
    if (has_room) {
        *lane.next = {wire::heap_word(wire::HeapEventKind::kTemporaries, 0), next_time(channel, lane),
                      entry.bytes, entry.stack, entry.count};
        commit(lane);
    }
    // Readers look here first and at the published events then: cleared before the event is out, it is never
    // counted twice.
    __atomic_store_n(&entry.count, 0, __ATOMIC_RELEASE);  // [window]
    __atomic_store_n(&entry.bytes, 0, __ATOMIC_RELEASE);
    if (has_room) show(lane);
}

void change_temporaries(Channel& channel, HeapLane& lane, wire::Temporaries& entry, uint32_t stack,
                        uint64_t bytes) {
    publish_temporaries(channel, lane, entry);
    // [window]: without a count the entry says nothing; the count comes last.
    __atomic_store_n(&entry.stack, stack, __ATOMIC_RELEASE);
    __atomic_store_n(&entry.bytes, bytes, __ATOMIC_RELEASE);
    __atomic_store_n(&entry.count, 1, __ATOMIC_RELEASE);
}

}  // namespace offheap::record
