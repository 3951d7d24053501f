// heap_threads THREADS AT_ONCE: so many threads, so many of them at a time. Each allocates 20 blocks of its
// own, frees 16, frees the 2 that its predecessor left it, leaves 2 to its successor and keeps 2 for good.
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { kOwn = 16, kStackBytes = 64 << 10 };

static sem_t room;
static _Atomic(void*) left[2];

__attribute__((noinline)) static void* kept_for_good(size_t bytes) {
    void* volatile block = malloc(bytes);
    return block;
}

static void* work(void* unused) {
    void* own[kOwn];
    for (int i = 0; i < kOwn; ++i) own[i] = malloc((size_t)(i * 10 + 1));
    for (int i = 0; i < 2; ++i) free(atomic_exchange(&left[i], malloc(32)));
    for (int i = 0; i < kOwn; ++i) free(own[i]);
    for (int i = 0; i < 2; ++i) kept_for_good(500);
    sem_post(&room);
    return unused;
}

int main(int argc, char** argv) {
    if (argc < 3) return 2;
    const int threads = atoi(argv[1]);
    sem_init(&room, 0, (unsigned)atoi(argv[2]));
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, kStackBytes);
    pthread_t* all = malloc((size_t)threads * sizeof *all);
    // Joined as many threads later as run at once.
    int joined = 0;
    for (int i = 0; i < threads; ++i) {
        sem_wait(&room);
        if (pthread_create(&all[i], &attributes, work, NULL) != 0) {
            perror("pthread_create");
            return 1;
        }
        while (joined + atoi(argv[2]) <= i) pthread_join(all[joined++], NULL);
    }
    while (joined < threads) pthread_join(all[joined++], NULL);
    for (int i = 0; i < 2; ++i) free(left[i]);
    free(all);
    printf("kept %d\n", 2 * threads);
    return 0;
}
