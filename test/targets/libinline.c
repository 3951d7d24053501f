// libinline.so: makes its memory system calls by instructions of its own, so that libc never sees them.
// PADDING_BYTES makes its code as large as wanted.
#include "libinline.h"

#include <sys/syscall.h>

#ifdef PADDING_BYTES
#define TEXT_OF(value) #value
#define TEXT(value) TEXT_OF(value)
__asm__(".pushsection .text\n\t.skip " TEXT(PADDING_BYTES) ", 0x90\n\t.popsection");
#endif

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
