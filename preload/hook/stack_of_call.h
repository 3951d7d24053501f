// Who made a call: its thread and its stack, filled into the event.
#pragma once

#include "native/wire/layout.h"
#include "preload/hook/process.h"
#include "preload/hook/system_call.h"
#include "preload/hook/thread_state.h"
#include "preload/unwind/registers.h"
#include "preload/unwind/rule_compiler.h"

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

// The node of the stack at a place in a function, if the thread was in it last; 0 if it was not or that
// cannot be told.
__attribute__((always_inline)) inline uint32_t last_stack(const ThreadState* state, uint64_t rip,
                                                          uint64_t rsp, uint64_t rbp) {
    if ((state->capturing | process.configuration.verify_every) != 0) return 0;
    const uint32_t turn = __atomic_load_n(&state->captures, __ATOMIC_RELAXED);
    const uint32_t node = state->last->repeated_label(unwind::exact_frame(rip), rsp, rbp, state->window);
    // No signal handler's system call has captured its own stack meanwhile.
    return __atomic_load_n(&state->captures, __ATOMIC_RELAXED) == turn ? node : 0;
}

// The same where it was in it of late; `caller` is the function's return address.
uint32_t recurring_stack(ThreadState* state, const unwind::Registers& registers, uint64_t caller);

// The node of the stack that the thread was told to be in last, whose native frames have the node `native`,
// with its Python frames; 0 where that cannot be told.
uint32_t stack_with_python(ThreadState* state, uint64_t stack_pointer, uint32_t native);

}  // namespace offheap::hook
