// One system call that arrived from a rewritten instruction.
#pragma once

#include <stdint.h>

namespace offheap::hook {

// The registers as the trampoline pushed them (trampoline.S), lowest address first.
struct SystemCallFrame {
    uint64_t rax, rdi, rsi, rdx, r8, r9, r10, rbx, rbp, r12, r13, r14, r15, rip;

    // Behind the frame lie 128 bytes of the interrupted function's red zone.
    uint64_t stack_pointer() const {
        return reinterpret_cast<uint64_t>(this) + sizeof(SystemCallFrame) + 128;
    }
};
static_assert(sizeof(SystemCallFrame) == 14 * 8, "must match the pushes of trampoline.S");

}  // namespace offheap::hook
