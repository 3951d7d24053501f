// Who made a call: its thread and its stack, filled into the event.
#pragma once

#include "native/wire/layout.h"
#include "preload/hook/system_call.h"
#include "preload/hook/thread_state.h"
#include "preload/unwind/registers.h"

namespace offheap::hook {

// `state` may be null (a thread that is ending): then the kernel is asked each time.
void identify_thread(ThreadState* state, uint64_t stack_pointer, wire::Event* event);

void capture_stack(ThreadState* state, const SystemCallFrame& frame, wire::Event* event);

struct CallStack {
    uint32_t node;
    bool truncated;
    bool repeated;  // the same as the thread's last one
};

// The stack that the registers stand on, under the root of the present load generation. `state` may be null.
// `caller`: the return address of the function that they are in, 0 where that is not known or worth knowing.
CallStack stack_of(ThreadState* state, const unwind::Registers& registers, uint64_t caller,
                   uint32_t generation);

// The node of the stack at a place in a function with this return address, if the thread was in it last or of
// late; 0 if it was not or that cannot be told.
uint32_t known_stack(ThreadState* state, uint64_t rip, uint64_t rsp, uint64_t rbp, uint64_t caller);

// The node of the stack that the thread was told to be in last, whose native frames have the node `native`,
// with its Python frames; 0 where that cannot be told.
uint32_t stack_with_python(ThreadState* state, uint64_t stack_pointer, uint32_t native);

}  // namespace offheap::hook
