// The library that dlopen_cycle loads and unloads: it maps memory under a function of its own.
#define _GNU_SOURCE
#include <stddef.h>
#include <sys/mman.h>

static void* __attribute__((noinline)) plugin_allocate(size_t bytes) {
    char* block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block != MAP_FAILED) block[0] = 1;
    return block;
}

void* plugin_map(size_t bytes) {
    void* volatile block = plugin_allocate(bytes);
    return block;
}
