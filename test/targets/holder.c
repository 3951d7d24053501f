// holder [NAME]
//
// Holds memory as it is told, a line each on its standard input, and answers each with a line:
//   map BYTES     map and touch
//   unmap         unmap what was mapped last
//   keep COUNT    COUNT mappings of two pages, each apart from the next in access rights
//   churn COUNT   map, touch and unmap 64 KiB, COUNT times
//   exit STATUS   end without unmapping anything; so does the end of the input, with status 0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { kMostBlocks = 64, kChurnBytes = 64 << 10, kKeptBytes = 8192 };

static struct {
    char* address;
    size_t bytes;
} blocks[kMostBlocks];
static int block_count;

static char* map(size_t bytes) {
    char* block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) abort();
    return block;
}

__attribute__((noinline)) static void hold_block(size_t bytes) {
    if (block_count == kMostBlocks) abort();
    char* block = memset(map(bytes), 1, bytes);
    blocks[block_count].address = block;
    blocks[block_count++].bytes = bytes;
    printf("mapped %p\n", (void*)block);
}

__attribute__((noinline)) static void release_block(void) {
    if (block_count == 0) abort();
    --block_count;
    if (munmap(blocks[block_count].address, blocks[block_count].bytes) != 0) abort();
    printf("unmapped\n");
}

__attribute__((noinline)) static void keep_many(long count) {
    for (long i = 0; i < count; ++i) {
        char* block = map(kKeptBytes);
        block[0] = 1;
        // Neighbours with the same rights would be one range to the kernel.
        if (i % 2 == 0 && mprotect(block, kKeptBytes, PROT_READ) != 0) abort();
    }
    printf("kept\n");
}

__attribute__((noinline)) static void churn(long count) {
    for (long i = 0; i < count; ++i) {
        char* block = map(kChurnBytes);
        block[0] = 1;
        if (munmap(block, kChurnBytes) != 0) abort();
    }
    printf("churned\n");
}

int main(void) {
    // Buffers of the library's own making would map memory at moments that are not ours.
    static char output[4096], input[4096];
    setvbuf(stdout, output, _IOLBF, sizeof output);
    setvbuf(stdin, input, _IOFBF, sizeof input);
    printf("READY %d\n", getpid());
    char line[256];
    while (fgets(line, sizeof line, stdin) != NULL) {
        const char* space = strchr(line, ' ');
        const long number = space == NULL ? 0 : atol(space);
        if (strncmp(line, "map ", 4) == 0) {
            hold_block((size_t)number);
        } else if (strncmp(line, "unmap", 5) == 0) {
            release_block();
        } else if (strncmp(line, "keep ", 5) == 0) {
            keep_many(number);
        } else if (strncmp(line, "churn ", 6) == 0) {
            churn(number);
        } else if (strncmp(line, "exit ", 5) == 0) {
            return (int)number;
        } else {
            printf("unknown: %s", line);
        }
    }
    return 0;
}
