// heap_bad_frees twice|foreign|tolerated: what no program should do.
// `twice` frees a block twice, `foreign` frees what no allocator gave out: glibc ends the program.
// `tolerated`, over an allocator that forgives: 1000 blocks freed twice, 100 foreign pointers freed, 50 more
// handed to realloc, and prints what was done beside.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kTwice = 1000, kForeign = 100, kReallocated = 50 };

static char foreign[kForeign][64] __attribute__((aligned(16)));

// The compiler knows what free() is for.
static void (*volatile release)(void*) = free;
static void* (*volatile reallocate)(void*, size_t) = realloc;

__attribute__((noinline)) static void* allocate(void) {
    void* volatile block = malloc(48);
    return block;
}

__attribute__((noinline)) static void tolerated(void) {
    for (int i = 0; i < kTwice; ++i) {
        void* block = allocate();
        release(block);
        release(block);
    }
    for (int i = 0; i < kForeign; ++i) release(foreign[i]);
    int given = 0;
    for (int i = 0; i < kReallocated; ++i) given += reallocate(foreign[i], 32) != NULL;
    printf("allocated %d, given by realloc %d\n", kTwice, given);
}

int main(int argc, char** argv) {
    const char* what = argc > 1 ? argv[1] : "";
    puts("READY");
    fflush(stdout);
    if (strcmp(what, "twice") == 0) {
        void* block = allocate();
        release(block);
        release(block);
    } else if (strcmp(what, "foreign") == 0) {
        release(foreign[0] + 8);
    } else {
        tolerated();
    }
    puts("done");
    return 0;
}
