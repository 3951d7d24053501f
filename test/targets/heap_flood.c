// heap_flood EVENTS: two threads hand blocks to each other, so that each allocation and each release has to
// be told: about EVENTS of them. Prints how many blocks were allocated and how many it keeps.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { kThreads = 2, kShared = 1 << 16, kKeptEvery = 1 << 14 };

static _Atomic(void*) shared[kShared];
static long pairs;
static atomic_long kept;

__attribute__((noinline)) static void keep(void) {
    void* volatile block = malloc(64);
    (void)block;
    atomic_fetch_add(&kept, 1);
}

static void* flood(void* argument) {
    size_t place = (size_t)argument * 31;
    for (long i = 0; i < pairs; ++i) {
        // Each thread strides over all places: what it finds is old, and half of it is the other's.
        place = (place + 40503) % kShared;
        free(atomic_exchange_explicit(&shared[place], malloc(24), memory_order_acq_rel));
        if (i % kKeptEvery == 0) keep();
    }
    return NULL;
}

int main(int argc, char** argv) {
    pairs = (argc > 1 ? atol(argv[1]) : 1000000) / 2 / kThreads;
    pthread_t threads[kThreads];
    for (size_t i = 0; i < kThreads; ++i) pthread_create(&threads[i], NULL, flood, (void*)i);
    for (int i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
    for (int i = 0; i < kShared; ++i) free(shared[i]);
    printf("pairs %ld kept %ld\n", pairs * kThreads, (long)kept);
    return 0;
}
