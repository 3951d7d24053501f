// An allocator that calls others from inside, as hooks of its memory do, and ends the process if its memory is asked
// back meanwhile. Over libc's, to be preloaded.
#include <stddef.h>
#include <unistd.h>

void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* block, size_t bytes);
void __libc_free(void* block);

static volatile int inside;

void* malloc(size_t bytes) { return __libc_malloc(bytes); }
void* calloc(size_t count, size_t bytes) { return __libc_calloc(count, bytes); }
void* realloc(void* block, size_t bytes) { return __libc_realloc(block, bytes); }
void free(void* block) { __libc_free(block); }

int malloc_trim(size_t pad) {
    (void)pad;
    if (inside) _exit(9);
    return 1;
}

void call_inside_of_malloc(void (*hook)(void)) {
    inside = 1;
    hook();
    inside = 0;
}
