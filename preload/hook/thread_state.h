// What the shim keeps for a thread between calls. The only thread-local variable is one pointer in static
// TLS; the state lies in private memory of the shim's own and is recycled when the thread ends.
#pragma once

#include <stdint.h>

#include "preload/record/emit.h"
#include "preload/unwind/capture.h"

namespace offheap::hook {

inline constexpr uint32_t kInlineFrames = 304;  // a state is one page then

struct ThreadState {
    uint32_t thread_id;
    uint32_t process_id;     // of the fork generation that `thread_id` was read in
    uint64_t identified_at;  // the stack pointer when `thread_id` was asked for
    uint64_t stack_pointer;  // where the call under way entered; a value below it is stale (siglongjmp)
    uint32_t under_way;      // wire::Operation of the call under way, 0 when none
    uint32_t capturing;      // `frames` is in use, by the call that entered at:
    uint64_t capture_stack_pointer;
    unwind::StackWindow window;
    uint64_t* frames;  // scratch for one capture: `inline_frames`, or larger after a deep stack
    uint32_t frame_capacity;
    uint32_t next_free;  // index + 1 in the pool
    uint32_t index;

    record::StackMemory stack_memory;
    uint64_t inline_frames[kInlineFrames];
};
static_assert(sizeof(ThreadState) <= 4096);

// Creates the key whose destructor recycles states. Call once, before other libraries take the low keys.
void start_thread_states();

// The calling thread's state; nullptr for a thread that is ending, or when no memory is to be had. `fresh` is
// set when a slab was mapped for it: the caller records that mapping.
struct OwnMapping {
    uint64_t address, bytes;
};
ThreadState* thread_state(OwnMapping* fresh);

// Doubles the scratch space, up to kMaxFrames; false when it can't grow.
bool grow_frames(ThreadState* state, OwnMapping* fresh);

}  // namespace offheap::hook
