// The fallback where instructions may not be rewritten: functions with the C interface of libc's wrappers, which the
// import tables of the loaded modules are pointed at (relocations.cc). They enter the trampoline as a site would.

        .text

        // Result or errno, as libc's wrappers give them.
        .macro  finish
        cmp     $-4095, %rax
        jae     set_errno
        ret
        .endm

        .macro  relocated name, number
        .globl  offheap_relocated_\name
        .hidden offheap_relocated_\name
        .type   offheap_relocated_\name, @function
offheap_relocated_\name:
        .cfi_startproc
        mov     $\number, %eax
        mov     %rcx, %r10
        lea     1f(%rip), %rcx
        jmp     offheap_trampoline
1:      finish
        .cfi_endproc
        .size   offheap_relocated_\name, . - offheap_relocated_\name
        .endm

        .type   set_errno, @function
set_errno:
        .cfi_startproc
        neg     %eax
        push    %rax
        .cfi_adjust_cfa_offset 8
        call    *__errno_location@GOTPCREL(%rip)
        pop     %rcx
        .cfi_adjust_cfa_offset -8
        mov     %ecx, (%rax)
        mov     $-1, %rax
        ret
        .cfi_endproc
        .size   set_errno, . - set_errno

        relocated mmap, 9
        relocated munmap, 11
        relocated mremap, 25
        relocated madvise, 28
        relocated mprotect, 10
        relocated pkey_mprotect, 329
        relocated remap_file_pages, 216
        relocated process_madvise, 440
        relocated shmat, 30
        relocated shmdt, 67

        // syscall(number, …): the arguments move down by one register.
        .globl  offheap_relocated_syscall
        .hidden offheap_relocated_syscall
        .type   offheap_relocated_syscall, @function
offheap_relocated_syscall:
        .cfi_startproc
        mov     %rdi, %rax
        mov     %rsi, %rdi
        mov     %rdx, %rsi
        mov     %rcx, %rdx
        mov     %r8, %r10
        mov     %r9, %r8
        mov     8(%rsp), %r9
        lea     1f(%rip), %rcx
        jmp     offheap_trampoline
1:      finish
        .cfi_endproc
        .size   offheap_relocated_syscall, . - offheap_relocated_syscall

        .section .note.GNU-stack, "", @progbits
