// libinline.so: makes its memory system calls by instructions of its own, so that libc never sees them.
#include "libinline.h"

#include <sys/syscall.h>

static inline __attribute__((always_inline)) long call6(long number, long a, long b, long c, long d, long e,
                                                        long f) {
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("mov %[number], %%eax\n\tsyscall"
                     : "=&a"(result)
                     : [number] "i"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

void* inline_mmap(size_t bytes) {
    return (void*)call6(SYS_mmap, 0, (long)bytes, 3 /* read, write */, 0x22 /* private, anonymous */, -1, 0);
}

long inline_munmap(void* start, size_t bytes) {
    return call6(SYS_munmap, (long)start, (long)bytes, 0, 0, 0, 0);
}
