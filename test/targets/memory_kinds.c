// memory_kinds FILE: memory of each sort that the kernel tells apart, with so many pages of each written (or read).
//
// FILE is 16 pages long. Prints a line `NAME ADDRESS BYTES` for each, then READY, and waits for the end of its input.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif
#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

enum { kPage = 4096, kReadWrite = PROT_READ | PROT_WRITE, kPrivate = MAP_PRIVATE | MAP_ANONYMOUS };
enum { kHuge = 2 << 20 };

static void say(const char* name, const void* at, size_t bytes) {
    printf("%s %p %zu\n", name, at, at == MAP_FAILED ? 0 : bytes);
}

static void write_pages(char* at, int count) {
    for (int i = 0; i < count; ++i) at[i * kPage] = 1;
}

static volatile char sink;
static void read_pages(const char* at, int count) {
    for (int i = 0; i < count; ++i) sink = at[i * kPage];
}

// With guards of our own around it, so that the kernel merges it with nothing.
static char* area(size_t bytes, int flags, int file) {
    char* around = mmap(NULL, bytes + 2 * kPage, PROT_NONE, kPrivate, -1, 0);
    return mmap(around + kPage, bytes, kReadWrite, flags | MAP_FIXED, file, 0);
}

static char* huge_area(void) {
    char* around = mmap(NULL, 2 * kHuge, PROT_NONE, kPrivate, -1, 0);
    char* aligned = (char*)(((uintptr_t)around + kHuge - 1) & ~(uintptr_t)(kHuge - 1));
    mmap(aligned, kHuge, kReadWrite, kPrivate | MAP_FIXED, -1, 0);
    madvise(aligned, kHuge, MADV_HUGEPAGE);
    return aligned;
}

static void* sleep_for_ever(void* unused) {
    prctl(PR_SET_NAME, "sleeper");
    for (;;) pause();
    return unused;
}

int main(int argc, char** argv) {
    if (argc < 2) return 2;
    const int file = open(argv[1], O_RDWR);
    if (file < 0) return 1;

    char* at = area(64 * kPage, kPrivate, -1);
    write_pages(at, 10);
    read_pages(at + 20 * kPage, 5);  // the zero page
    say("private", at, 64 * kPage);

    at = area(16 * kPage, kPrivate, -1);
    write_pages(at, 16);
    say("guarded", at, madvise(at + 4 * kPage, 4 * kPage, MADV_GUARD_INSTALL) == 0 ? 16 * kPage : 0);

    at = area(16 * kPage, kPrivate, -1);
    write_pages(at, 16);
    madvise(at, 8 * kPage, MADV_FREE);
    say("lazily-freed", at, 16 * kPage);

    at = area(16 * kPage, MAP_SHARED | MAP_ANONYMOUS, -1);
    write_pages(at, 7);
    say("shared", at, 16 * kPage);

    const int memory = memfd_create("queue", 0);
    if (ftruncate(memory, 16 * kPage) != 0) return 1;
    at = area(16 * kPage, MAP_SHARED, memory);
    write_pages(at, 6);
    say("memfd", at, 16 * kPage);

    const int id = shmget(IPC_PRIVATE, 16 * kPage, IPC_CREAT | 0600);
    at = shmat(id, NULL, 0);
    shmctl(id, IPC_RMID, NULL);
    write_pages(at, 5);
    say("segment", at, 16 * kPage);

    at = area(16 * kPage, MAP_SHARED, file);
    read_pages(at, 16);
    write_pages(at, 1);
    say("file-shared", at, 16 * kPage);

    at = area(16 * kPage, MAP_PRIVATE, file);
    read_pages(at, 16);
    write_pages(at, 3);
    say("file-private", at, 16 * kPage);

    const int secret = (int)syscall(SYS_memfd_secret, 0);
    at = secret >= 0 && ftruncate(secret, 16 * kPage) == 0 ? area(16 * kPage, MAP_SHARED, secret) : MAP_FAILED;
    if (at != MAP_FAILED) write_pages(at, 2);
    say("secret", at, 16 * kPage);

    const int zero = open("/dev/zero", O_RDWR);
    at = area(16 * kPage, MAP_PRIVATE, zero);
    write_pages(at, 4);
    say("zero-private", at, 16 * kPage);
    at = area(16 * kPage, MAP_SHARED, zero);
    write_pages(at, 3);
    say("zero-shared", at, 16 * kPage);

    // Into swap, where there is some.
    at = area(16 * kPage, kPrivate, -1);
    write_pages(at, 16);
    madvise(at, 16 * kPage, MADV_PAGEOUT);
    say("paged-out", at, 16 * kPage);

    // The kernel's own memory, by a descriptor.
    uint8_t parameters[128] = {0};
    const int queue = (int)syscall(SYS_io_uring_setup, 8, parameters);
    at = queue >= 0 ? area(kPage, MAP_SHARED, queue) : MAP_FAILED;
    if (at != MAP_FAILED) read_pages(at, 1);
    say("io_uring", at, kPage);

    at = huge_area();
    at[0] = 1;
    say("huge", at, kHuge);
    at = huge_area();
    read_pages(at, 1);
    say("huge-zero", at, kHuge);

    at = mmap(NULL, kHuge, kReadWrite, kPrivate | MAP_HUGETLB, -1, 0);
    if (at != MAP_FAILED) at[0] = 1;
    say("hugetlb", at, kHuge);

    at = mmap(NULL, (size_t)1 << 36, PROT_NONE, kPrivate | MAP_NORESERVE, -1, 0);
    say("reserved", at, (size_t)1 << 36);

    pthread_t thread;
    pthread_create(&thread, NULL, sleep_for_ever, NULL);

    puts("READY");
    fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) continue;
    return 0;
}
