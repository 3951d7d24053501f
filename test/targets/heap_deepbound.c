// heap_deepbound LIBRARY: loads an allocator late, bound to itself (RTLD_DEEPBIND) and then into the global
// scope, and uses both, its own and the process's.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void use(void* (*allocate)(size_t), void (*release)(void*)) {
    char* blocks[100];
    for (int i = 0; i < 100; ++i) strcpy(blocks[i] = allocate(100), "in use");
    for (int i = 0; i < 100; ++i) {
        if (strcmp(blocks[i], "in use") != 0) abort();
        release(blocks[i]);
    }
}

int main(int argc, char** argv) {
    if (argc < 2) return 2;
    use(malloc, free);
    const int ways[] = {RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND, RTLD_NOW | RTLD_GLOBAL};
    for (int i = 0; i < 2; ++i) {
        void* library = dlopen(argv[1], ways[i]);
        if (library == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        void* (*allocate)(size_t) = (void* (*)(size_t))dlsym(library, "malloc");
        void (*release)(void*) = (void (*)(void*))dlsym(library, "free");
        use(allocate, release);
        use(malloc, free);
        puts("used both");
    }
    return 0;
}
