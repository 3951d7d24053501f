// Events in, bytes out.
#pragma once

#include <stdint.h>

#include "preload/record/channel.h"

namespace offheap::record {

inline constexpr uint64_t kLost = ~0ULL;

// Appends `event` (its `sequence` and `time` are filled in here) and returns its position. When the ring is
// full it waits a bounded time for a living collector, and never without one; then the event is lost,
// counted, and kLost is returned. `unfinished`, which may be null, is the position and one from when it is
// taken until it is committed, else 0: who leaves half-way can be known by it, and the position given up.
uint64_t emit(Channel& channel, const wire::Event& event, uint64_t* unfinished = nullptr);

// Told of memory that recording itself maps; null: nobody wants to know.
extern void (*own_mapping_listener)(uint64_t address, uint64_t bytes);

// The shim's own code. Its frames, between an application and its allocator, are left out of stacks.
struct CodeRange {
    uint64_t start, end;
    bool holds(uint64_t frame) const {
        constexpr uint64_t kExact = wire::kKeyExactAddress << wire::kKeyKindShift;
        return (frame & ~kExact) - start < end - start;  // keys of other kinds are no addresses
    }
};
extern CodeRange own_code;

struct InternedStack {
    uint32_t node;
    bool cut;  // there is no room: `node` stands for the frames nearest the root only, 0 for none
};

// A stack's frames, wherever they lie: the root at `root`, its callee `stride` words behind it.
struct StackFrames {
    const uint64_t* root;
    int64_t stride;
    uint32_t count;

    uint64_t operator[](uint32_t i) const { return root[stride * int64_t{i}]; }
};

// The nodes of a stack's frames: the root's at `root`, its callee's `stride` places behind it. Of so many
// frames nearest the root they are known, from the same channel and generation.
struct StackNodes {
    uint32_t* root;
    int64_t stride;
    uint32_t known;
    RecentChildren* recent = nullptr;  // null: all are looked for in the tree

    uint32_t& operator[](uint32_t i) const { return root[stride * int64_t{i}]; }
};

// Stores a stack under the root of a module load generation. `nodes`, which may be null, has room for all of
// its frames and knows more of them afterwards: those need no look-up the next time.
InternedStack intern_stack(Channel& channel, StackNodes* nodes, const StackFrames& frames,
                           uint32_t generation);

}  // namespace offheap::record
