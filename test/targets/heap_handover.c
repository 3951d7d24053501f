// heap_handover BLOCKS: a thread allocates blocks and sleeps for good. Another frees them, gets the same
// addresses again at once, keeps those, and allocates on. Prints how many addresses came back.
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { kMost = 100, kMany = 20000 };

static void* blocks[kMost];
static int count;
static sem_t given;

static void* give(void* unused) {
    for (int i = 0; i < count; ++i) blocks[i] = malloc((size_t)(64 + 16 * i));
    sem_post(&given);
    for (;;) pause();
    return unused;
}

__attribute__((noinline)) static void* take_again(size_t bytes) {
    void* volatile block = malloc(bytes);
    return block;
}

int main(int argc, char** argv) {
    count = argc > 1 ? atoi(argv[1]) : 50;
    if (count > kMost) return 2;
    sem_init(&given, 0, 0);
    pthread_t thread;
    if (pthread_create(&thread, NULL, give, NULL) != 0) return 1;
    sem_wait(&given);
    int came_back = 0;
    for (int i = 0; i < count; ++i) {
        void* const before = blocks[i];
        free(before);
        came_back += take_again((size_t)(64 + 16 * i)) == before;
    }
    void** many = malloc(kMany * sizeof *many);
    for (int i = 0; i < kMany; ++i) many[i] = malloc(40);
    for (int i = 0; i < kMany; ++i) free(many[i]);
    free(many);
    printf("came back: %s\n", came_back > count / 2 ? "most" : "few");
    return 0;
}
