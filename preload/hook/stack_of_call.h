// Who made a call: its thread and its stack, filled into the event.
#pragma once

#include "native/wire/layout.h"
#include "preload/hook/system_call.h"
#include "preload/hook/thread_state.h"

namespace offheap::hook {

// `state` may be null (a thread that is ending): then the kernel is asked each time.
void identify_thread(ThreadState* state, uint64_t stack_pointer, wire::Event* event);

void capture_stack(ThreadState* state, const SystemCallFrame& frame, wire::Event* event);

}  // namespace offheap::hook
