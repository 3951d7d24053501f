// separate_mappings COUNT: holds COUNT areas that the kernel can't merge, a page of each written. Says READY and waits
// for the end of its standard input.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { kPage = 4096, kAreaPages = 4 };

int main(int argc, char** argv) {
    const long count = argc > 1 ? atol(argv[1]) : 5000;
    const size_t bytes = (size_t)count * kAreaPages * kPage;
    char* all = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) return 1;
    for (long i = 0; i < count; ++i) {
        char* area = all + (size_t)i * kAreaPages * kPage;
        area[0] = 1;
        if (i % 2 == 0) continue;
        // Each as a call of its own, as a ledger would see them; every other one differs in protection.
        if (mmap(area, kAreaPages * kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
            MAP_FAILED) {
            fprintf(stderr, "the kernel allows %ld areas\n", i);
            return 1;
        }
    }
    puts("READY");
    fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) continue;
    return 0;
}
