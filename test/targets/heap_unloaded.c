// heap_unloaded ROUNDS FIRST SECOND: loads one library and the other in turns, lets each allocate blocks that
// outlive it, and unloads it. Prints how often the second lay where the first had lain.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { kBlocks = 10 };

static void* allocate_from(const char* path, size_t bytes) {
    void* library = dlopen(path, RTLD_NOW);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    void* (*allocate)(size_t) = (void* (*)(size_t))dlsym(library, "allocate");
    for (int i = 0; i < kBlocks; ++i) allocate(bytes);
    dlclose(library);
    return (void*)allocate;
}

int main(int argc, char** argv) {
    if (argc < 4) return 2;
    const int rounds = atoi(argv[1]);
    int at_the_same_place = 0;
    for (int i = 0; i < rounds; ++i) {
        at_the_same_place += allocate_from(argv[2], 1000) == allocate_from(argv[3], 3000);
    }
    printf("at the same place: %s\n", at_the_same_place > 0 ? "yes" : "no");
    return 0;
}
