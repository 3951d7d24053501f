// heap_live: keeps blocks alive, of 16 stacks. Reads lines and answers each with the number of blocks that live:
//
//   grow COUNT    allocates so many more
//   churn COUNT   frees one and allocates one, anywhere among them, so many times
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))

enum { kBlockBytes = 24, kStacks = 16 };

static NOINLINE void* allocate(unsigned frames) {
    void* const block = frames == 0 ? malloc(kBlockBytes) : allocate(frames - 1);
    __asm__ volatile("" ::: "memory");  // keeps the recursion from becoming a loop
    return block;
}

static uint32_t next_random(void) {
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

int main(void) {
    char line[64];
    void** blocks = NULL;
    size_t live = 0;
    while (fgets(line, sizeof line, stdin) != NULL) {
        char verb[16];
        size_t count = 0;
        if (sscanf(line, "%15s %zu", verb, &count) != 2) return 2;
        if (strcmp(verb, "grow") == 0) {
            blocks = realloc(blocks, (live + count) * sizeof *blocks);
            if (blocks == NULL) return 1;
            for (; count > 0; --count) blocks[live++] = allocate(live % kStacks);
        } else {
            for (; count > 0; --count) {
                void** const block = &blocks[next_random() % live];
                free(*block);
                *block = allocate(count % kStacks);
            }
        }
        printf("%zu\n", live);
        fflush(stdout);
    }
    return 0;
}
