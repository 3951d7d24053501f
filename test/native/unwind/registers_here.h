// The registers of the function that this is written in, at the instruction behind the macro: what a hook
// hands over.
#pragma once

#include "preload/unwind/capture.h"

#define OFFHEAP_REGISTERS_HERE(registers)                                  \
    __asm__ volatile(                                                      \
        "lea 0f(%%rip), %%rax\n\tmov %%rax, 0(%0)\n\tmov %%rsp, 8(%0)\n\t" \
        "mov %%rbp, 16(%0)\n\tmov %%rbx, 24(%0)\n\tmov %%r12, 32(%0)\n\t"  \
        "mov %%r13, 40(%0)\n\tmov %%r14, 48(%0)\n\tmov %%r15, 56(%0)\n\t"  \
        "0:"                                                               \
        :                                                                  \
        : "D"(&(registers))                                                \
        : "rax", "memory")
