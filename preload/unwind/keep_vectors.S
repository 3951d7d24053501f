        .text
        .globl  offheap_keep_vectors
        .hidden offheap_keep_vectors
        .type   offheap_keep_vectors, @function
offheap_keep_vectors:
        .cfi_startproc
        push    %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        mov     %rsp, %rbp
        .cfi_def_cfa_register %rbp
        sub     $256, %rsp
        and     $-16, %rsp
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        movaps  %xmm\n, \n*16(%rsp)
        .endr
        mov     %rdi, %rax
        mov     %rsi, %rdi
        mov     %rdx, %rsi
        call    *%rax
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        movaps  \n*16(%rsp), %xmm\n
        .endr
        leave
        .cfi_def_cfa %rsp, 8
        ret
        .cfi_endproc
        .size   offheap_keep_vectors, . - offheap_keep_vectors

        .section .note.GNU-stack, "", @progbits
