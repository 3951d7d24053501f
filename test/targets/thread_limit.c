// thread_limit THREADS: that many short-lived threads, at most 50 at a time, each of which maps and unmaps
// once. Whatever is kept per thread must be given back, or run out visibly.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { kAtOnce = 50, kBytes = 16 << 10 };

static void* once(void* unused) {
    char* block = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) abort();
    block[0] = 1;
    if (munmap(block, kBytes) != 0) abort();
    return unused;
}

int main(int argc, char** argv) {
    const int count = argc > 1 ? atoi(argv[1]) : 2000;
    pthread_t threads[kAtOnce];
    for (int done = 0; done < count;) {
        int batch = count - done < kAtOnce ? count - done : kAtOnce;
        for (int i = 0; i < batch; ++i) {
            if (pthread_create(&threads[i], NULL, once, NULL) != 0) abort();
        }
        for (int i = 0; i < batch; ++i) pthread_join(threads[i], NULL);
        done += batch;
    }
    printf("calls %d\nREADY\n", count);
    return 0;
}
