// What the shim keeps for a thread between calls. The only thread-local variable is one pointer in static
// TLS; the state lies in private memory of the shim's own and is recycled when the thread ends.
#pragma once

#include <stdint.h>

#include "preload/record/emit.h"
#include "preload/record/heap_lane.h"
#include "preload/record/recent_children.h"
#include "preload/unwind/capture.h"
#include "preload/unwind/recurring_stacks.h"
#include "preload/unwind/remembered_stack.h"

namespace offheap::hook {

inline constexpr uint32_t kInlineFrames = 68;  // a state is one page then

struct PythonStack;

struct ThreadState {
    record::HeapLane heap;
    uint64_t heap_control;        // wire::Header's, as this thread has taken it in
    uint64_t heap_stack_pointer;  // where the use of `heap` under way entered; 0: none is
    uint32_t thread_id;
    uint32_t process_id;     // of the fork generation that `thread_id` was read in
    uint64_t identified_at;  // the stack pointer when `thread_id` was asked for
    uint64_t stack_pointer;  // where the call under way entered; a value below it is stale (siglongjmp)
    uint64_t unfinished;     // of that call: record::emit()'s
    uint32_t under_way;      // wire::Operation of the call under way, 0 when none
    uint32_t capturing;      // `stack` is in use, by the call that entered at:
    uint64_t capture_stack_pointer;
    uint32_t captures;   // changes when a capture begins
    uint32_t next_free;  // index + 1 in the pool
    uint32_t index;
    uint32_t endings;  // rounds of the thread's destructors that were waited for
    unwind::StackWindow window;
    unwind::RememberedStack stack;            // for all that is not among the recurring ones
    unwind::RecurringStacks* recurring;       // null until it pays
    record::RecentChildren* recent_children;  // of the stack tree; null as long
    unwind::RememberedStack* last;            // the one that the thread was in last
    uint64_t labels_channel_id;  // the stacks' labels are nodes of this channel's tree, below the root
    uint32_t labels_generation;  // of this generation
    PythonStack* python;         // null until the thread runs Python
    uint32_t walks;              // of allocations whose stack was not the last one
    // The stack's memory until a deep one is met.
    alignas(8) char inline_stack[unwind::RememberedStack::bytes_for(kInlineFrames)];
};
static_assert(sizeof(ThreadState) <= 4096);

// `ending`: this thread's destructors have run; giving it a state again would leak one per thread.
inline ThreadState* const kEndingThread = reinterpret_cast<ThreadState*>(1);

// The calling thread's, kEndingThread, or null where it has none yet.
extern __attribute__((tls_model("initial-exec"))) __thread ThreadState* current_state;

// Creates the key whose destructor recycles states. Call once, before other libraries take the low keys.
void start_thread_states();

// The calling thread's state; nullptr for a thread that is ending, or when no memory is to be had. `fresh` is
// set when a slab was mapped for it: the caller records that mapping.
struct OwnMapping {
    uint64_t address, bytes;
};
ThreadState* thread_state(OwnMapping* fresh);

// Gives the stack room for eight times the frames, up to a million; false when it can't grow. What was
// captured is forgotten.
bool grow_stack(ThreadState* state, OwnMapping* fresh);

// Gives the thread room for the stacks that recur, and for nodes of those that don't; false when there is no
// memory.
bool add_recurring(ThreadState* state, OwnMapping* fresh);

// Told when a thread ends, before its state is used again; null: nobody wants to know.
extern void (*thread_end_listener)(ThreadState* state);

// Forgets what is remembered of the thread's stacks.
void forget_stacks(ThreadState* state);

}  // namespace offheap::hook
