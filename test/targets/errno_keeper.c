// errno_keeper: a call that succeeds leaves errno alone, one that fails sets the errno that the kernel gave,
// and vector and callee-saved registers survive. Writes bytes that are no text to both streams. Ends with 0,
// or with the line that failed.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPECT(condition)                                                            \
    do {                                                                             \
        if (!(condition)) {                                                          \
            fprintf(stderr, "line %d: %s, errno %d\n", __LINE__, #condition, errno); \
            return __LINE__ % 256;                                                   \
        }                                                                            \
    } while (0)

enum { kPage = 4096, kReadWrite = PROT_READ | PROT_WRITE, kPrivate = MAP_PRIVATE | MAP_ANONYMOUS };

// What a signal-free libc call leaves alone in practice and programs rely on: the kernel keeps every vector
// register.
static int vector_registers_survive(void) {
    const char in[64] __attribute__((aligned(16))) =
        "0123456789abcdefFEDCBA9876543210the quick brown fox jumps over!";
    char out[64] __attribute__((aligned(16))) = {0};
    long result;
    // In registers that the call keeps.
    register char* out_kept __asm__("r13") = out;
    register long (*function)(long, ...) __asm__("r14") = syscall;
    register long number __asm__("r15") = SYS_munmap;
    __asm__ volatile(
        "movdqa 0(%[in]), %%xmm0\n\t"
        "movdqa 16(%[in]), %%xmm1\n\t"
        "movdqa 32(%[in]), %%xmm7\n\t"
        "movdqa 48(%[in]), %%xmm15\n\t"
        "mov %%rsp, %%r12\n\t"
        "sub $128, %%rsp\n\t"  // the red zone may be in use
        "and $-16, %%rsp\n\t"
        "mov %[number], %%rdi\n\t"
        "mov $0x10000, %%esi\n\t"
        "mov $4096, %%edx\n\t"
        "xor %%eax, %%eax\n\t"
        "call *%[function]\n\t"
        "mov %%r12, %%rsp\n\t"
        "movdqa %%xmm0, 0(%[out])\n\t"
        "movdqa %%xmm1, 16(%[out])\n\t"
        "movdqa %%xmm7, 32(%[out])\n\t"
        "movdqa %%xmm15, 48(%[out])\n\t"
        : "=a"(result)
        : [in] "b"(in), [out] "r"(out_kept), [function] "r"(function), [number] "r"(number)
        : "memory", "cc", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "xmm0", "xmm1", "xmm7",
          "xmm15");
    return result == 0 && memcmp(in, out, sizeof in) == 0;
}

int main(void) {
    for (int round = 0; round < 100; ++round) {
        errno = 4242;
        char* block = mmap(NULL, 8 * kPage, kReadWrite, kPrivate, -1, 0);
        EXPECT(block != MAP_FAILED && errno == 4242);
        EXPECT(mprotect(block, kPage, PROT_READ) == 0 && errno == 4242);
        EXPECT(madvise(block, kPage, MADV_DONTNEED) == 0 && errno == 4242);
        block = mremap(block, 8 * kPage, 4 * kPage, 0);
        EXPECT(block != MAP_FAILED && errno == 4242);
        EXPECT(munmap(block, 4 * kPage) == 0 && errno == 4242);
        EXPECT(sbrk(0) != (void*)-1 && errno == 4242);

        EXPECT(mmap(NULL, 0, kReadWrite, kPrivate, -1, 0) == MAP_FAILED && errno == EINVAL);
        EXPECT(mmap(NULL, kPage, PROT_READ, MAP_PRIVATE, -1, 0) == MAP_FAILED && errno == EBADF);
        EXPECT(munmap((void*)1, kPage) == -1 && errno == EINVAL);
        EXPECT(madvise((void*)0x10000, kPage, MADV_DONTNEED) == -1 && errno == ENOMEM);
        EXPECT(mremap((void*)0x10000, kPage, 2 * kPage, 0) == MAP_FAILED && errno == EFAULT);
        EXPECT(posix_madvise((void*)1, kPage, POSIX_MADV_WILLNEED) == EINVAL && errno == EFAULT);
        EXPECT(syscall(SYS_munmap, 1, kPage) == -1 && errno == EINVAL);
        EXPECT(syscall(-1) == -1 && errno == ENOSYS);
        EXPECT(syscall(100000) == -1 && errno == ENOSYS);
        EXPECT(syscall(SYS_getpid) == getpid());
        EXPECT(vector_registers_survive());
    }
    const unsigned char bytes[] = {0, 1, 2, 0xff, 0xfe, '\n', 0x80, '\r'};
    EXPECT(write(STDOUT_FILENO, bytes, sizeof bytes) == sizeof bytes);
    EXPECT(write(STDERR_FILENO, bytes, sizeof bytes) == sizeof bytes);
    return 0;
}
