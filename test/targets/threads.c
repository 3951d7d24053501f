// threads THREADS ROUNDS: each thread maps, touches and unmaps ROUNDS times; then as many threads come and go
// one by one, so that stacks are mapped, reused and unmapped. Ends with `calls N`: the pairs of mmap and
// munmap that stand here.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static long rounds;

static void* churn(void* unused) {
    for (long i = 0; i < rounds; ++i) {
        const size_t bytes = 4096u * (1 + i % 16);
        char* block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED) abort();
        block[bytes - 1] = 1;
        if (munmap(block, bytes) != 0) abort();
    }
    return unused;
}

static void* nothing(void* unused) { return unused; }

static pthread_t spawn(void* (*body)(void*), size_t stack_bytes) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, stack_bytes);
    pthread_t thread;
    if (pthread_create(&thread, &attributes, body, NULL) != 0) abort();
    pthread_attr_destroy(&attributes);
    return thread;
}

int main(int argc, char** argv) {
    const int count = argc > 1 ? atoi(argv[1]) : 4;
    rounds = argc > 2 ? atol(argv[2]) : 1000;
    pthread_t* threads = malloc(sizeof *threads * (size_t)count);

    for (int i = 0; i < count; ++i) threads[i] = spawn(churn, 256 << 10);
    for (int i = 0; i < count; ++i) pthread_join(threads[i], NULL);
    // Stacks above the size of glibc's cache (40 MiB) are unmapped when their thread ends.
    for (int i = 0; i < count; ++i) pthread_join(spawn(nothing, i % 2 ? 48 << 20 : 128 << 10), NULL);

    free(threads);
    printf("calls %ld\nREADY\n", count * rounds);
    return 0;
}
