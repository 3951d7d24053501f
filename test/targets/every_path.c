// every_path [hold]: each memory system call, through libc's function and through syscall(), failing calls
// too.
//
// Prints one line per step, the same in every run (`ok` or the errno), then how often each system call was
// made. Nothing is allocated in between: what the ledger counts is what stands here. With `hold`, a few
// mappings of each sort are left and the program waits for the end of its standard input, so that the ledger
// can be compared.
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

enum { kPage = 4096, kReadWrite = PROT_READ | PROT_WRITE, kPrivate = MAP_PRIVATE | MAP_ANONYMOUS };

#define CALLS(X) \
    X(mmap)      \
    X(munmap)    \
    X(mremap)    \
    X(brk) X(madvise) X(mprotect) X(pkey_mprotect) X(remap_file_pages) X(process_madvise) X(shmat) X(shmdt)
#define COUNTER(name) long name;
static struct { CALLS(COUNTER) } calls;

static char text[32768];
static size_t text_bytes;
static int raw;  // 1: every call goes through syscall()

static void say(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    text_bytes += (size_t)vsnprintf(text + text_bytes, sizeof text - text_bytes, format, arguments);
    va_end(arguments);
}

// `result` is -1 where the call failed, as libc says it.
static void* step(const char* name, intptr_t result) {
    const int error = errno;
    say("%s %s %s\n", raw ? "raw" : "libc", name, result == -1 ? strerrorname_np(error) : "ok");
    return (void*)result;
}

static void* map(const char* name, void* at, size_t bytes, int protection, int flags) {
    calls.mmap++;
    return step(name, raw ? syscall(SYS_mmap, at, bytes, protection, flags, -1, 0)
                          : (intptr_t)mmap(at, bytes, protection, flags, -1, 0));
}
static void unmap(const char* name, void* at, size_t bytes) {
    calls.munmap++;
    step(name, raw ? syscall(SYS_munmap, at, bytes) : munmap(at, bytes));
}
static void* remap(const char* name, void* at, size_t from, size_t to, int flags, void* target) {
    calls.mremap++;
    return step(name, raw ? syscall(SYS_mremap, at, from, to, flags, target)
                          : (intptr_t)mremap(at, from, to, flags, target));
}
static void advise(const char* name, void* at, size_t bytes, int advice) {
    calls.madvise++;
    step(name, raw ? syscall(SYS_madvise, at, bytes, advice) : madvise(at, bytes, advice));
}
static void protect(const char* name, void* at, size_t bytes, int protection) {
    calls.mprotect++;
    step(name, raw ? syscall(SYS_mprotect, at, bytes, protection) : mprotect(at, bytes, protection));
}

static void touch(void* at, size_t bytes) {
    for (size_t i = 0; i < bytes; i += kPage) ((volatile char*)at)[i] = 1;
}

static void maps(void) {
    char* plain = map("mmap", NULL, 16 * kPage, kReadWrite, kPrivate);
    touch(plain, 16 * kPage);
    map("mmap FIXED over the middle", plain + 4 * kPage, 2 * kPage, kReadWrite, kPrivate | MAP_FIXED);
    map("mmap FIXED_NOREPLACE over a mapping", plain, kPage, kReadWrite, kPrivate | MAP_FIXED_NOREPLACE);
    unmap("munmap the middle", plain + 8 * kPage, 2 * kPage);
    map("mmap FIXED_NOREPLACE into the hole", plain + 8 * kPage, 2 * kPage, kReadWrite,
        kPrivate | MAP_FIXED_NOREPLACE);
    unmap("munmap the head", plain, kPage);
    unmap("munmap a hole", plain, kPage);
    unmap("munmap across several", plain, 16 * kPage);

    char* shared = map("mmap SHARED", NULL, 4 * kPage, kReadWrite, MAP_SHARED | MAP_ANONYMOUS);
    touch(shared, 4 * kPage);
    unmap("munmap SHARED", shared, 4 * kPage);
    char* down = map("mmap GROWSDOWN", NULL, 4 * kPage, kReadWrite, kPrivate | MAP_GROWSDOWN);
    unmap("munmap GROWSDOWN", down, 4 * kPage);
    char* odd = map("mmap of 5000 bytes", NULL, 5000, kReadWrite, kPrivate);
    unmap("munmap of 5000 bytes", odd, 5000);
    char* low = map("mmap 32BIT", NULL, kPage, kReadWrite, kPrivate | MAP_32BIT);
    unmap("munmap 32BIT", low, kPage);
    map("mmap HUGETLB of a page size that is none", NULL, kPage, kReadWrite,
        kPrivate | MAP_HUGETLB | (13 << 26));

    map("mmap of nothing", NULL, 0, kReadWrite, kPrivate);
    map("mmap of too much", NULL, (size_t)1 << 48, kReadWrite, kPrivate);
    map("mmap FIXED unaligned", (void*)0x12345, kPage, kReadWrite, kPrivate | MAP_FIXED);
    unmap("munmap unaligned", (void*)0x12345, kPage);
    unmap("munmap of nothing", (void*)0x10000, 0);
}

static void remaps(void) {
    char* old = map("mmap", NULL, 8 * kPage, kReadWrite, kPrivate);
    touch(old, 8 * kPage);
    char* target = map("mmap", NULL, 32 * kPage, PROT_NONE, kPrivate);
    remap("mremap shrink", old, 8 * kPage, 6 * kPage, 0, NULL);
    remap("mremap grow where there is a wall", old, kPage, 8 * kPage, 0, NULL);
    char* moved = remap("mremap FIXED", old, 6 * kPage, 7 * kPage, MREMAP_MAYMOVE | MREMAP_FIXED, target);
    char* grown = remap("mremap MAYMOVE", moved, 7 * kPage, 64 * kPage, MREMAP_MAYMOVE, NULL);
    touch(grown, 64 * kPage);
    char* twin =
        remap("mremap DONTUNMAP", grown, 64 * kPage, 64 * kPage, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    remap("mremap of a hole", (void*)0x10000, kPage, 2 * kPage, MREMAP_MAYMOVE, NULL);
    remap("mremap unaligned", grown + 1, kPage, 2 * kPage, MREMAP_MAYMOVE, NULL);
    unmap("munmap", grown, 64 * kPage);
    unmap("munmap", twin, 64 * kPage);
    unmap("munmap", target, 32 * kPage);

    char* shared = map("mmap SHARED", NULL, 4 * kPage, kReadWrite, MAP_SHARED | MAP_ANONYMOUS);
    touch(shared, 4 * kPage);
    char* copy = remap("mremap of size 0: a second view", shared, 0, 4 * kPage, MREMAP_MAYMOVE, NULL);
    unmap("munmap", shared, 4 * kPage);
    unmap("munmap", copy, 4 * kPage);
}

static void breaks(void) {
    char* start = sbrk(0);  // asks the kernel only the first time, which is not counted
    if (raw) {
        calls.brk += 4;
        step("brk up", syscall(SYS_brk, start + 16 * kPage) == (intptr_t)(start + 16 * kPage) ? 0 : -1);
        touch(start, 16 * kPage);
        step("brk down", syscall(SYS_brk, start + 3 * kPage) == (intptr_t)(start + 3 * kPage) ? 0 : -1);
        step("brk back", syscall(SYS_brk, start) == (intptr_t)start ? 0 : -1);
        step("brk refused", syscall(SYS_brk, (intptr_t)-kPage) == (intptr_t)start ? 0 : -1);
    } else {
        calls.brk += 4;
        step("brk up", brk(start + 16 * kPage));
        touch(start, 16 * kPage);
        step("brk down", (intptr_t)sbrk(-13 * kPage) == -1 ? -1 : 0);
        step("brk back", brk(start));
        step("brk refused", brk((void*)(intptr_t)-kPage));
    }
}

static void advices(void) {
    char* block = map("mmap", NULL, 16 * kPage, kReadWrite, kPrivate);
    touch(block, 16 * kPage);
    advise("madvise DONTNEED", block, 4 * kPage, MADV_DONTNEED);
    advise("madvise FREE", block + 4 * kPage, 4 * kPage, MADV_FREE);
    advise("madvise WILLNEED", block, kPage, MADV_WILLNEED);
    advise("madvise REMOVE of private memory", block, kPage, MADV_REMOVE);
    advise("madvise unaligned", block + 1, kPage, MADV_DONTNEED);
    advise("madvise of a hole", (void*)0x10000, kPage, MADV_DONTNEED);
    if (!raw) {
        calls.madvise++;
        const int error = posix_madvise(block + 8 * kPage, kPage, POSIX_MADV_WILLNEED);
        errno = error;
        step("posix_madvise", error == 0 ? 0 : -1);
        posix_madvise(block, kPage, POSIX_MADV_DONTNEED);  // glibc makes no call for this one
    }
    unmap("munmap", block, 16 * kPage);

    char* shared = map("mmap SHARED", NULL, 4 * kPage, kReadWrite, MAP_SHARED | MAP_ANONYMOUS);
    touch(shared, 4 * kPage);
    advise("madvise REMOVE", shared, 2 * kPage, MADV_REMOVE);
    calls.remap_file_pages++;
    step("remap_file_pages", raw ? syscall(SYS_remap_file_pages, shared, kPage, 0, 1, 0)
                                 : remap_file_pages(shared, kPage, 0, 1, 0));
    unmap("munmap", shared, 4 * kPage);

    char* cold = map("mmap", NULL, 4 * kPage, kReadWrite, kPrivate);
    touch(cold, 4 * kPage);
    const int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    struct iovec range = {.iov_base = cold, .iov_len = 4 * kPage};
    calls.process_madvise += 2;
    step("process_madvise COLD", raw ? syscall(SYS_process_madvise, self, &range, 1, MADV_COLD, 0)
                                     : process_madvise(self, &range, 1, MADV_COLD, 0));
    step("process_madvise of no process", raw ? syscall(SYS_process_madvise, -1, &range, 1, MADV_COLD, 0)
                                              : process_madvise(-1, &range, 1, MADV_COLD, 0));
    close(self);
    unmap("munmap", cold, 4 * kPage);
}

static void protections(void) {
    char* block = map("mmap NONE", NULL, 16 * kPage, PROT_NONE, kPrivate | MAP_NORESERVE);
    protect("mprotect from NONE", block, 8 * kPage, kReadWrite);
    touch(block, 8 * kPage);
    protect("mprotect to NONE", block + 2 * kPage, 2 * kPage, PROT_NONE);
    protect("mprotect READ", block, kPage, PROT_READ);
    protect("mprotect of a hole", (void*)0x10000, kPage, PROT_READ);
    if (raw) {
        calls.pkey_mprotect++;
        step("pkey_mprotect without a key",
             syscall(SYS_pkey_mprotect, block + 8 * kPage, kPage, kReadWrite, -1));
    } else {
        calls.mprotect++;  // glibc makes it one
        step("pkey_mprotect without a key", pkey_mprotect(block + 8 * kPage, kPage, kReadWrite, -1));
    }
    calls.pkey_mprotect++;
    step("pkey_mprotect with no such key", raw ? syscall(SYS_pkey_mprotect, block, kPage, kReadWrite, 15)
                                               : pkey_mprotect(block, kPage, kReadWrite, 15));
    unmap("munmap", block, 16 * kPage);
}

static void segments(void) {
    const int id = shmget(IPC_PRIVATE, 5 * kPage, IPC_CREAT | 0600);
    calls.shmat += 2;
    char* first = step("shmat", raw ? syscall(SYS_shmat, id, NULL, 0) : (intptr_t)shmat(id, NULL, 0));
    char* second = step("shmat READONLY", raw ? syscall(SYS_shmat, id, NULL, SHM_RDONLY)
                                              : (intptr_t)shmat(id, NULL, SHM_RDONLY));
    shmctl(id, IPC_RMID, NULL);
    touch(first, 5 * kPage);
    calls.shmdt += 3;
    step("shmdt", raw ? syscall(SYS_shmdt, first) : shmdt(first));
    step("shmdt again", raw ? syscall(SYS_shmdt, first) : shmdt(first));
    step("shmdt", raw ? syscall(SYS_shmdt, second) : shmdt(second));
    calls.shmat++;
    step("shmat of no segment", raw ? syscall(SYS_shmat, -1, NULL, 0) : (intptr_t)shmat(-1, NULL, 0));
}

static void leave_some(void) {
    char* block = map("mmap to keep", NULL, 64 * kPage, kReadWrite, kPrivate);
    touch(block, 64 * kPage);
    unmap("munmap a part", block + 10 * kPage, 5 * kPage);
    protect("mprotect a part", block + 20 * kPage, kPage, PROT_READ);
    char* moving = map("mmap to move", NULL, 4 * kPage, kReadWrite, kPrivate);
    touch(moving, 4 * kPage);
    remap("mremap over a part", moving, 4 * kPage, 4 * kPage, MREMAP_MAYMOVE | MREMAP_FIXED,
          block + 40 * kPage);
    map("mmap SHARED to keep", NULL, 3 * kPage, kReadWrite, MAP_SHARED | MAP_ANONYMOUS);
}

static void flush(void) {
    for (size_t done = 0; done < text_bytes;) {
        const ssize_t n = write(STDOUT_FILENO, text + done, text_bytes - done);
        if (n <= 0) return;
        done += (size_t)n;
    }
    text_bytes = 0;
}

int main(int argc, char** argv) {
    for (raw = 0; raw < 2; ++raw) {
        maps();
        remaps();
        breaks();
        advices();
        protections();
        segments();
        leave_some();
    }
#define SAY_COUNT(name) say("count %s %ld\n", #name, calls.name);
    CALLS(SAY_COUNT)
    say("READY\n");
    flush();
    if (argc > 1 && strcmp(argv[1], "hold") == 0) {
        char byte;
        while (read(STDIN_FILENO, &byte, 1) > 0) continue;
    }
    return 0;
}
