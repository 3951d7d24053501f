// Reads a channel as a collector does: what the target moved to the backlog, then the ring.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "native/wire/ring.h"

namespace offheap::test {

inline const wire::Event* backlog_of(const wire::Header* header) {
    return reinterpret_cast<const wire::Event*>(reinterpret_cast<const uint8_t*>(header) +
                                                header->backlog_offset);
}

// Where the ring begins for a reader: records behind the tail may lie in the backlog already.
inline uint64_t first_position(const wire::Header* header) {
    return header->backlog_position <= header->ring_head
               ? std::max(header->ring_tail, header->backlog_position)
               : header->ring_tail;
}

inline std::vector<wire::Event> recorded_events(wire::Header* header) {
    std::vector<wire::Event> events;
    uint64_t last = 0;
    for (uint64_t slot = 0; slot < header->backlog_used; ++slot) {
        const wire::Event& event = backlog_of(header)[slot];
        if (event.operation == 0 || event.sequence <= last) continue;
        last = event.sequence;
        events.push_back(event);
    }
    for (uint64_t position = first_position(header); position < header->ring_head; ++position) {
        const wire::Event* event = wire::event_at(header, position);
        if (!wire::is_committed(event, position)) break;
        events.push_back(*event);
    }
    return events;
}

}  // namespace offheap::test
