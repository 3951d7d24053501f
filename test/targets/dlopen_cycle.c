// dlopen_cycle LIBRARY OTHER ROUNDS: loads a library, lets it map memory, unloads it, then loads another one,
// which the kernel puts at the same addresses. Memory that the first has mapped outlives it and stays its
// own.
//
// Prints `kept BYTES_OF_LIBRARY BYTES_OF_OTHER`.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

enum { kBytes = 64 << 10 };

static void map_by(const char* path, size_t bytes) {
    void* library = dlopen(path, RTLD_NOW);
    if (library == NULL) {
        fprintf(stderr, "dlopen_cycle: %s\n", dlerror());
        exit(1);
    }
    void* (*plugin_map)(size_t) = (void* (*)(size_t))dlsym(library, "plugin_map");
    if (plugin_map == NULL || plugin_map(bytes) == NULL) abort();
    if (dlclose(library) != 0) abort();
}

int main(int argc, char** argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: dlopen_cycle LIBRARY OTHER [ROUNDS]\n");
        return 2;
    }
    const int rounds = argc > 3 ? atoi(argv[3]) : 10;
    for (int i = 0; i < rounds; ++i) {
        map_by(argv[1], kBytes);
        map_by(argv[2], 2 * kBytes);
    }
    printf("kept %d %d\nREADY\n", rounds * kBytes, rounds * 2 * kBytes);
    return 0;
}
