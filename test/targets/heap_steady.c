// heap_steady: holds a third of what it allocated, says how many bytes that is ("held BYTES": as its allocator hands them
// out), and goes on allocating a little until its input ends.
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { kBlocks = 100000, kSmallest = 16, kSpread = 600, kHeldOneIn = 3 };

static char* blocks[kBlocks];

static char* filled(size_t bytes) {
    char* block = malloc(bytes);
    if (block == NULL) abort();
    return memset(block, 1, bytes);
}

int main(void) {
    srand(4);
    for (int i = 0; i < kBlocks; ++i) blocks[i] = filled((size_t)(kSmallest + rand() % kSpread));
    size_t held = 0;
    for (int i = 0; i < kBlocks; ++i) {
        if (i % kHeldOneIn == 0) {
            held += malloc_usable_size(blocks[i]);
        } else {
            free(blocks[i]);
        }
    }
    printf("held %zu\n", held);
    fflush(stdout);
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    while (poll(&input, 1, 1) == 0) {
        char* block = filled(100);
        __asm__ volatile("" : : "r"(block) : "memory");
        free(block);
    }
    return blocks[0][0] == 2;
}
