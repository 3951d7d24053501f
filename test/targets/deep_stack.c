// deep_stack FRAMES: recurses FRAMES deep (10,000 by default), then maps memory there and keeps it.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { kBytes = 1 << 20, kBytesPerFrame = 128 };

static void* __attribute__((noinline)) map_at_the_bottom(void) {
    char* block = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) abort();
    block[0] = 1;
    return block;
}

static void* __attribute__((noinline)) descend(long frames) {
    void* volatile block = frames > 0 ? descend(frames - 1) : map_at_the_bottom();
    return block;  // through memory, or the compiler would make the recursion a loop
}

static void* run(void* frames) { return descend((long)frames); }

int main(int argc, char** argv) {
    const long frames = argc > 1 ? atol(argv[1]) : 10000;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (pthread_attr_setstacksize(&attributes, (1u << 20) + (size_t)frames * kBytesPerFrame) != 0) abort();
    pthread_t thread;
    void* block = NULL;
    if (pthread_create(&thread, &attributes, run, (void*)frames) != 0) abort();
    pthread_join(thread, &block);
    printf("kept %p %d\nREADY\n", block, kBytes);
    return 0;
}
