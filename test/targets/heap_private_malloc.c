// heap_private_malloc: a program that brings its own malloc, as those do that link an allocator statically.
// All of the process's calls go to it, libc's too.
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static _Alignas(16) char arena[16 << 20];
static atomic_size_t used;
static atomic_long allocations;

void* malloc(size_t bytes) {
    atomic_fetch_add(&allocations, 1);
    const size_t at = atomic_fetch_add(&used, (bytes + 31) & ~(size_t)15);
    if (at + bytes + 16 > sizeof arena) return NULL;
    *(size_t*)(arena + at) = bytes;
    return arena + at + 16;
}
void free(void* block) { (void)block; }
void* calloc(size_t count, size_t bytes) { return malloc(count * bytes); }
void* realloc(void* block, size_t bytes) {
    void* fresh = malloc(bytes);
    if (fresh == NULL || block == NULL) return fresh;
    const size_t old_bytes = ((size_t*)block)[-2];
    return memcpy(fresh, block, old_bytes < bytes ? old_bytes : bytes);
}

int main(void) {
    char* volatile text = NULL;
    for (int i = 0; i < 1000; ++i) {
        text = strdup("libc allocates by it too");
        free(text);
    }
    printf("%s: %s\n", text, allocations >= 1000 ? "all of them" : "some of them");
    return 0;
}
