// heap_crowd THREADS: so many threads that all live and allocate at the same time; each keeps one block while
// it waits for the others, and frees it at its end.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static pthread_barrier_t all_here;

static void* work(void* unused) {
    void* volatile mine = malloc(100);
    for (int i = 0; i < 50; ++i) {
        void* volatile block = malloc(200);
        free(block);
    }
    pthread_barrier_wait(&all_here);
    free(mine);
    return unused;
}

int main(int argc, char** argv) {
    const int threads = argc > 1 ? atoi(argv[1]) : 2000;
    pthread_barrier_init(&all_here, NULL, (unsigned)threads);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    pthread_t* all = malloc((size_t)threads * sizeof *all);
    for (int i = 0; i < threads; ++i) {
        if (pthread_create(&all[i], &attributes, work, NULL) != 0) {
            perror("pthread_create");
            return 1;
        }
    }
    for (int i = 0; i < threads; ++i) pthread_join(all[i], NULL);
    free(all);
    printf("%d at once\n", threads);
    return 0;
}
