// inline_syscall LIBRARY [ROUNDS [hold]]: maps and unmaps through a library that holds system-call
// instructions of its own, loaded by dlopen. Every other mapping is kept. Prints `calls ROUNDS kept_bytes N`,
// and with `hold` keeps it all until its input is at its end.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

enum { kBytes = 64 << 10 };

int main(int argc, char** argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: inline_syscall LIBRARY [ROUNDS [hold]]\n");
        return 2;
    }
    const int rounds = argc > 2 ? atoi(argv[2]) : 100;
    void* library = dlopen(argv[1], RTLD_NOW);
    if (library == NULL) {
        fprintf(stderr, "inline_syscall: %s\n", dlerror());
        return 1;
    }
    void* (*map)(size_t) = (void* (*)(size_t))dlsym(library, "inline_mmap");
    long (*unmap)(void*, size_t) = (long (*)(void*, size_t))dlsym(library, "inline_munmap");
    if (map == NULL || unmap == NULL) return 1;

    long kept_bytes = 0;
    for (int i = 0; i < rounds; ++i) {
        char* block = map(kBytes);
        if ((long)block < 0) abort();
        block[0] = 1;
        if (i % 2 == 0) {
            kept_bytes += kBytes;
        } else if (unmap(block, kBytes) != 0) {
            abort();
        }
    }
    printf("calls %d kept_bytes %ld\nREADY\n", rounds, kept_bytes);
    fflush(stdout);
    if (argc > 3)
        while (getchar() != EOF) {
        }
    return 0;
}
