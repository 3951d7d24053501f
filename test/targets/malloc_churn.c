// malloc_churn THREADS ROUNDS: allocations of many sizes in several threads, freed by another thread now and
// then, some of them kept. For the allocator that is linked or preloaded.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kSlots = 512, kKeptBytes = 300 << 10, kKept = 40 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void* shared[kSlots];
static long rounds;

static size_t size_of_round(unsigned* seed) {
    const unsigned dice = (unsigned)rand_r(seed);
    if (dice % 200 == 0)
        return 1u << (20 + dice / 200 % 4);  // 1 … 8 MiB: mapped on their own by most allocators
    if (dice % 10 == 0) return 1u << (12 + dice / 10 % 7);
    return 16 + dice % 2000;
}

static void* churn(void* number) {
    unsigned seed = (unsigned)(size_t)number;
    for (long i = 0; i < rounds; ++i) {
        const size_t bytes = size_of_round(&seed);
        char* block = malloc(bytes);
        if (block == NULL) abort();
        block[0] = block[bytes - 1] = 1;
        pthread_mutex_lock(&lock);
        void** slot = &shared[(unsigned)rand_r(&seed) % kSlots];
        void* old = *slot;
        *slot = block;
        pthread_mutex_unlock(&lock);
        free(old);
    }
    return NULL;
}

int main(int argc, char** argv) {
    const int count = argc > 1 ? atoi(argv[1]) : 4;
    rounds = argc > 2 ? atol(argv[2]) : 20000;
    pthread_t threads[64];
    if (count < 1 || count > 64) return 2;
    for (int i = 0; i < count; ++i) {
        if (pthread_create(&threads[i], NULL, churn, (void*)(size_t)(i + 1)) != 0) abort();
    }
    for (int i = 0; i < count; ++i) pthread_join(threads[i], NULL);
    for (int i = 0; i < kSlots; ++i) free(shared[i]);

    static void* kept[kKept];  // reachable to the end, or the compiler would drop the pairs
    for (int i = 0; i < kKept; ++i) {
        kept[i] = malloc(kKeptBytes);
        memset(kept[i], 1, kKeptBytes);
    }
    printf("kept_bytes %d\nREADY\n", kKept * kKeptBytes);
    return kept[0] == NULL;
}
