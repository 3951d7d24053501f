// Events in, bytes out.
#pragma once

#include <stdint.h>

#include "preload/record/channel.h"

namespace offheap::record {

inline constexpr uint64_t kLost = ~0ULL;

// Appends `event` (its `sequence` and `time` are filled in here) and returns its position. When the ring is
// full it waits a bounded time for a living collector, and never without one; then the event is lost,
// counted, and kLost is returned.
uint64_t emit(Channel& channel, const wire::Event& event);

// Told of memory that recording itself maps; null: nobody wants to know.
extern void (*own_mapping_listener)(uint64_t address, uint64_t bytes);

// The shim's own code. Its frames, between an application and its allocator, are left out of stacks.
struct CodeRange {
    uint64_t start, end;
    bool holds(uint64_t frame) const {
        return (frame & ((1ULL << wire::kKeyKindShift) - 1)) - start < end - start;
    }
};
extern CodeRange own_code;

struct InternedStack {
    uint32_t node;
    bool cut;  // there is no room: `node` stands for the frames nearest the root only, 0 for none
};

// The nodes of the stack interned last, root first: what the next one shares with it needs no look-up.
struct StackMemory {
    uint64_t channel_id;
    uint32_t generation;
    uint32_t count;
    uint32_t* nodes;  // room for every stack that is interned with it
};

// A stack's frames, wherever they lie: the root at `root`, its callee `stride` words behind it.
struct StackFrames {
    const uint64_t* root;
    int64_t stride;
    uint32_t count;
    uint32_t unchanged;  // of those nearest the root: as they were when interned with the same memory last

    uint64_t operator[](uint32_t i) const { return root[stride * int64_t{i}]; }
};

// Stores a stack under the root of a module load generation. `memory` may be null.
InternedStack intern_stack(Channel& channel, StackMemory* memory, const StackFrames& frames,
                           uint32_t generation);

}  // namespace offheap::record
