// heap_slack: holds blocks whose sizes lie below what its allocator hands out, in the main thread's part of the heap and in
// those of other threads, small ones and large ones; all are written to, and some of them freed again. Says what of them it
// holds ("blocks N asked BYTES usable BYTES": what it asked for, and what malloc_usable_size says), and goes on allocating
// a little until its input ends.
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { kThreads = 3, kSmall = 100000, kSmallBytes = 25, kMixed = 20000, kSpread = 3000, kLarge = 100, kFreedOneIn = 5 };

static unsigned long blocks, asked, usable;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void hold(size_t bytes, int index, unsigned long sums[3]) {
    char* block = malloc(bytes);
    if (block == NULL) abort();
    memset(block, 1, bytes);
    if (index % kFreedOneIn == 0) {
        free(block);
        return;
    }
    __asm__ volatile("" : : "r"(block) : "memory");
    sums[0] += 1;
    sums[1] += bytes;
    sums[2] += malloc_usable_size(block);
}

static void* fill(void* seed) {
    unsigned random = (unsigned)(size_t)seed;
    unsigned long sums[3] = {0, 0, 0};
    for (int i = 0; i < kSmall; ++i) hold(kSmallBytes, i, sums);
    for (int i = 0; i < kMixed; ++i) hold(1 + (size_t)rand_r(&random) % kSpread, i, sums);
    for (int i = 0; i < kLarge; ++i) hold(130000 + (size_t)rand_r(&random) % 100000, i, sums);
    pthread_mutex_lock(&lock);
    blocks += sums[0];
    asked += sums[1];
    usable += sums[2];
    pthread_mutex_unlock(&lock);
    return NULL;
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    pthread_t threads[kThreads];
    for (size_t i = 0; i < kThreads; ++i) pthread_create(&threads[i], NULL, fill, (void*)(i + 2));
    for (size_t i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
    fill((void*)1);
    printf("blocks %lu asked %lu usable %lu\n", blocks, asked, usable);
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    while (poll(&input, 1, 1) == 0) {
        char* block = malloc(100);
        __asm__ volatile("" : : "r"(block) : "memory");
        free(block);
    }
    return 0;
}
