// unseen_mapping: maps memory by a system-call instruction that it makes at run time, which nobody can have found.
//
// Reads lines `BYTES`: maps and writes so much, and answers `mapped ADDRESS`.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// The System V calling convention's arguments become the kernel's: mov rax,rdi; mov rdi,rsi; mov rsi,rdx; mov rdx,rcx;
// mov r10,r8; mov r8,r9; mov r9,[rsp+8]; syscall; ret.
static const unsigned char code[] = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x48, 0x89, 0xca,
                                     0x4d, 0x89, 0xc2, 0x4d, 0x89, 0xc8, 0x4c, 0x8b, 0x4c, 0x24, 0x08,
                                     0x0f, 0x05, 0xc3};

int main(void) {
    void* page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return 1;
    memcpy(page, code, sizeof code);
    mprotect(page, 4096, PROT_READ | PROT_EXEC);
    long (*call)(long, ...) = (long (*)(long, ...))page;
    printf("READY %d\n", getpid());
    fflush(stdout);
    long bytes;
    while (scanf("%ld", &bytes) == 1) {
        char* block = (char*)call(SYS_mmap, 0L, bytes, (long)(PROT_READ | PROT_WRITE),
                                  (long)(MAP_PRIVATE | MAP_ANONYMOUS), -1L, 0L);
        memset(block, 1, (size_t)bytes);
        printf("mapped %p\n", (void*)block);
        fflush(stdout);
    }
    return 0;
}
