// heap_phases: three threads allocate and free at all times. For each line `name` on standard input the main
// thread allocates 1000 blocks by the function `name` (first, second, third or fourth), keeps them all and
// answers `kept name`. `free name` frees them. Ends with its input.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { kBlocks = 1000, kThreads = 3, kNames = 4 };

static atomic_int ending;
static _Atomic(void*) shared[512];

static void* churn(void* argument) {
    unsigned random = (unsigned)(size_t)argument * 7919 + 1;
    for (unsigned turn = 0; !ending; ++turn) {
        // A load, not a flood: the collector shares the processors.
        if (turn % 256 == 0) usleep(200);
        random = random * 1664525 + 1013904223;
        // Often another thread's block.
        free(atomic_exchange(&shared[random >> 23], malloc(random % 900 + 1)));
    }
    return NULL;
}

#define PHASE(name)                                                 \
    __attribute__((noinline)) static void name(void** blocks) {     \
        for (int i = 0; i < kBlocks; ++i) blocks[i] = malloc(4000); \
        __asm__ volatile("" ::: "memory");                          \
    }
PHASE(first)
PHASE(second)
PHASE(third)
PHASE(fourth)

int main(void) {
    static const struct {
        const char* name;
        void (*allocate)(void**);
    } phases[kNames] = {{"first", first}, {"second", second}, {"third", third}, {"fourth", fourth}};
    static void* blocks[kNames][kBlocks];
    pthread_t threads[kThreads];
    for (size_t i = 0; i < kThreads; ++i) pthread_create(&threads[i], NULL, churn, (void*)i);
    puts("READY");
    fflush(stdout);
    char line[100];
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = 0;
        const int is_free = strncmp(line, "free ", 5) == 0;
        for (int i = 0; i < kNames; ++i) {
            if (strcmp(is_free ? line + 5 : line, phases[i].name) != 0) continue;
            if (!is_free) phases[i].allocate(blocks[i]);
            for (int j = 0; is_free && j < kBlocks; ++j) free(blocks[i][j]);
        }
        printf("kept %s\n", line);
        fflush(stdout);
    }
    ending = 1;
    for (int i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
    for (int i = 0; i < 512; ++i) free(shared[i]);
    return 0;
}
