// kinds: memory that needs settings of the kernel's to be there: explicit and transparent huge pages, merged and swapped
// ones. Prints `NAME ADDRESS BYTES` of each, then READY, and waits for the end of its input.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

enum { kPage = 4096, kHuge = 2 << 20 };

static char* map(const char* name, size_t bytes, int flags) {
    char* start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (start == MAP_FAILED) {
        perror(name);
        _exit(1);
    }
    printf("%s %p %zu\n", name, (void*)start, bytes);
    return start;
}

int main(void) {
    const int anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
    // Three of four pages are used.
    memset(map("explicit-private", 4 * kHuge, anonymous | MAP_HUGETLB), 1, 3 * kHuge);
    memset(map("explicit-shared", kHuge, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB), 1, kHuge);

    char* transparent = map("transparent", 8 * kHuge, anonymous);
    madvise(transparent, 8 * kHuge, MADV_HUGEPAGE);
    char* whole = (char*)(((uintptr_t)transparent + kHuge - 1) & ~(uintptr_t)(kHuge - 1));
    memset(whole, 1, 4 * kHuge);

    char* merged = map("merged", 64 * kPage, anonymous);
    madvise(merged, 64 * kPage, MADV_NOHUGEPAGE);
    madvise(merged, 64 * kPage, MADV_MERGEABLE);
    memset(merged, 42, 64 * kPage);

    char* swapped = map("swapped", 64 * kPage, anonymous);
    madvise(swapped, 64 * kPage, MADV_NOHUGEPAGE);
    for (int i = 0; i < 64; ++i) memset(swapped + i * kPage, i + 1, kPage);
    madvise(swapped, 64 * kPage, MADV_PAGEOUT);

    printf("READY\n");
    fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) continue;
    return 0;
}
