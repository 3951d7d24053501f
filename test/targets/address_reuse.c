// address_reuse ROUNDS: one thread unmaps an address while another maps it at once. A release that were
// recorded after the call would come behind the other thread's mapping of the same address, and the ledger
// would lose it.
//
// Prints `kept 0xADDRESS BYTES` for the blocks that are left, then waits for the end of its standard input.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { kBytes = 64 << 10, kThreads = 2 };

static long rounds;
static void* kept[kThreads];

// The kernel hands out the highest free place, so both threads keep getting each other's last address.
static void* race(void* slot) {
    void* block = NULL;
    for (long i = 0; i < rounds; ++i) {
        if (block != NULL && munmap(block, kBytes) != 0) abort();
        block = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED) abort();
        *(char*)block = 1;
    }
    *(void**)slot = block;
    return NULL;
}

int main(int argc, char** argv) {
    rounds = argc > 1 ? atol(argv[1]) : 10000;
    pthread_t threads[kThreads];
    for (int i = 0; i < kThreads; ++i) {
        if (pthread_create(&threads[i], NULL, race, &kept[i]) != 0) abort();
    }
    for (int i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
    for (int i = 0; i < kThreads; ++i) printf("kept %p %d\n", kept[i], kBytes);
    printf("READY\n");
    fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) continue;
    return 0;
}
