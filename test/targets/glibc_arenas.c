// Fills several of glibc's arenas and says what malloc itself counts. Usage: glibc_arenas quiet|busy
// quiet: prints what malloc counts while all threads stand still, then waits for its input to end; a t in it
// calls malloc_trim.
// busy: threads allocate and free until then; says how many bytes stay allocated all the while.
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 4, SMALL = 20000, LARGE = 900, KEPT = 2000, CHURNED = 500 };

static pthread_barrier_t filled;
static volatile int busy;
// Nothing that prints may allocate.
static char output[1 << 16];

static unsigned next_random(unsigned* state) {
    *state = *state * 1103515245u + 12345u;
    return *state >> 8;
}

static void* keep(size_t bytes) {
    char* block = malloc(bytes);
    if (block == NULL) abort();
    memset(block, 1, bytes);
    return block;
}

// Blocks of all sizes, of which most are freed again; more than one heap of an arena holds.
static void fill(unsigned seed) {
    static __thread void* blocks[SMALL + LARGE];
    for (int i = 0; i < SMALL; i++) blocks[i] = keep(1 + next_random(&seed) % 3000);
    for (int i = 0; i < LARGE; i++) blocks[SMALL + i] = malloc(60000 + next_random(&seed) % 60000);
    if (posix_memalign(&blocks[0], 4096, 10000) != 0) abort();
    for (int i = 1; i < SMALL + LARGE; i++) {
        if (next_random(&seed) % 4 != 0) free(blocks[i]);
    }
}

static void churn(unsigned seed) {
    static __thread void* blocks[CHURNED];
    while (busy) {
        void** block = &blocks[next_random(&seed) % CHURNED];
        if (next_random(&seed) % 16 == 0) {
            *block = realloc(*block, 1 + next_random(&seed) % 20000);
            continue;
        }
        free(*block);
        *block = malloc(1 + next_random(&seed) % (next_random(&seed) % 64 == 0 ? 200000 : 3000));
    }
}

static void* work(void* argument) {
    unsigned seed = (unsigned)(size_t)argument;
    if (busy) {
        for (int i = 0; i < KEPT; i++) keep(1000);
        pthread_barrier_wait(&filled);
        churn(seed);
        return NULL;
    }
    fill(seed);
    pthread_barrier_wait(&filled);
    for (;;) pause();
}

int main(int argc, char** argv) {
    setvbuf(stdout, output, _IOFBF, sizeof output);
    busy = argc > 1 && strcmp(argv[1], "busy") == 0;
    pthread_barrier_init(&filled, NULL, THREADS + 1);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, work, (void*)(i + 1));
    if (!busy) {
        fill(99);
        mallopt(M_MMAP_THRESHOLD, 32 << 20);
        // Another user of the break: malloc goes on behind it.
        if (sbrk(5000) == (void*)-1) abort();
        for (int i = 0; i < 100; i++) keep(1000000);
        for (int i = 0; i < 5; i++) keep(40000000 + i * 100000);
    }
    pthread_barrier_wait(&filled);
    if (busy) {
        printf("kept %d\n", THREADS * KEPT * 1000);
    } else {
        const struct mallinfo2 now = mallinfo2();
        printf("arena %zu free %zu fast %zu top %zu mapped %zu mappedBytes %zu\n", now.arena, now.fordblks,
               now.fsmblks, now.keepcost, now.hblks, now.hblkhd);
        malloc_info(0, stdout);
        malloc_stats();
    }
    printf("ready\n");
    fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0) {
        if (byte != 't') continue;
        malloc_trim(0);
        printf("trimmed\n");
        fflush(stdout);
    }
    busy = 0;
    _exit(0);
}
