// What keeps a recording whole while nobody collects it, or not fast enough: when the ring is full, its older
// events move to the backlog, and those that cancel each other (an mmap and the munmap of just that range)
// are dropped on the way. So the backlog grows with what is live, not with what happened.
#pragma once

#include <stdint.h>

#include "preload/record/channel.h"

namespace offheap::record {

enum class Compaction : uint8_t {
    kMadeRoom,
    kBusy,    // another thread of this process is at it, or a collector is copying
    kNoRoom,  // the backlog is full, or can't grow
};

// Bounded work, no waiting. May map memory for its index once: `own_mapping` then tells which.
struct OwnedRange {
    uint64_t address = 0, bytes = 0;
};
Compaction compact(Channel& channel, OwnedRange* own_mapping);

}  // namespace offheap::record
