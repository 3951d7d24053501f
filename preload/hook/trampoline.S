// Where a rewritten system-call instruction arrives. A stub (stubs.cc) has put the address behind the instruction into
// rcx, which is exactly what the kernel leaves there, so one trampoline serves all sites and returns by rcx.
//
// The call frame information is whole, so that gdb, libgcc and our own unwinder pass through at every instruction.
// Vector registers are left alone: the handler is built without them (RULES.md, 8).

        .text

        .macro  push_register name, dwarf
        push    %\name
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset \dwarf, 0
        .endm

        .hidden offheap_on_system_call
        .globl  offheap_trampoline
        .hidden offheap_trampoline
        .type   offheap_trampoline, @function
offheap_trampoline:
        .cfi_startproc
        .cfi_signal_frame
        .cfi_def_cfa %rsp, 0
        .cfi_register 16, %rcx
        lea     -128(%rsp), %rsp                // the red zone of the interrupted function
        .cfi_def_cfa_offset 128
        push    %rcx
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset 16, 0
        push_register r15, %r15
        push_register r14, %r14
        push_register r13, %r13
        push_register r12, %r12
        push_register rbp, %rbp
        push_register rbx, %rbx
        push_register r10, %r10
        push_register r9, %r9
        push_register r8, %r8
        push_register rdx, %rdx
        push_register rsi, %rsi
        push_register rdi, %rdi
        push_register rax, %rax
        mov     %rsp, %rdi
        mov     %rsp, %rbx
        .cfi_def_cfa %rbx, 240
        and     $-16, %rsp
        cld
        call    offheap_on_system_call
        mov     %rbx, %rsp
        .cfi_def_cfa %rsp, 240
        pop     %rax
        .cfi_adjust_cfa_offset -8
        pop     %rdi
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rdi
        pop     %rsi
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rsi
        pop     %rdx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rdx
        pop     %r8
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r8
        pop     %r9
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r9
        pop     %r10
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r10
        pop     %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        pop     %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbp
        pop     %r12
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r12
        pop     %r13
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r13
        pop     %r14
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r14
        pop     %r15
        .cfi_adjust_cfa_offset -8
        .cfi_restore %r15
        pop     %rcx
        .cfi_adjust_cfa_offset -8
        .cfi_register 16, %rcx
        lea     128(%rsp), %rsp
        .cfi_def_cfa_offset 0
        jmp     *%rcx
        .cfi_endproc
        .size   offheap_trampoline, . - offheap_trampoline

        .section .note.GNU-stack, "", @progbits
