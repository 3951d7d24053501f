#pragma once

#include <signal.h>

#include "preload/runtime/raw_syscall.h"

namespace offheap::hook {

// Whether a signal handler runs here that asked for a stack of its own.
inline bool runs_on_alternate_stack() {
    stack_t stack = {};
    runtime::raw_syscall(runtime::kSysSigaltstack, 0, runtime::as_argument(&stack));
    return (stack.ss_flags & SS_ONSTACK) != 0;
}

}  // namespace offheap::hook
