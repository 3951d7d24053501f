// dlopen_race LIBRARY ROUNDS: one thread loads and unloads a library as fast as it can, while others map and
// unmap memory. Whoever looks into a newly mapped file from another thread finds it unmapped under its eyes.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { kThreads = 2, kBytes = 64 << 10 };

static _Atomic int loading = 1;

static void* churn(void* unused) {
    while (atomic_load(&loading)) {
        char* block = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED) abort();
        block[0] = 1;
        if (mprotect(block, kBytes, PROT_READ) != 0) abort();
        if (munmap(block, kBytes) != 0) abort();
    }
    return unused;
}

int main(int argc, char** argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: dlopen_race LIBRARY [ROUNDS]\n");
        return 2;
    }
    const int rounds = argc > 2 ? atoi(argv[2]) : 1000;
    pthread_t threads[kThreads];
    for (int i = 0; i < kThreads; ++i) {
        if (pthread_create(&threads[i], NULL, churn, NULL) != 0) abort();
    }
    for (int i = 0; i < rounds; ++i) {
        void* library = dlopen(argv[1], RTLD_NOW);
        if (library == NULL || dlsym(library, "inline_mmap") == NULL) abort();
        if (dlclose(library) != 0) abort();
    }
    atomic_store(&loading, 0);
    for (int i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
    printf("READY\n");
    return 0;
}
