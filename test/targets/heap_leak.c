// The disease: a true leak. Each request keeps a little that nobody frees, beside a cache that fills and empties and
// work that is freed at once. Usage: heap_leak leak|stable
//   stable   the same, and frees what it keeps
// Prints "ready PID"; runs until its input ends.
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { kKept = 40, kKeptBytes = 512, kCached = 500, kCachedBytes = 1000, kRing = 4000 };

static char output[4096];
static void* ring[kRing];
static unsigned long kept_count;

static void* filled(size_t bytes) {
    void* block = malloc(bytes);
    if (block == NULL) abort();
    memset(block, 1, bytes);
    return block;
}

__attribute__((noinline)) static void keep_request(int leaks) {
    void** place = &ring[kept_count++ % kRing];
    if (!leaks) free(*place);
    *place = filled(kKeptBytes);
}

__attribute__((noinline)) static void fill_cache(void** cache, int* used) {
    if (*used == kCached) {
        for (int i = 0; i < kCached; ++i) free(cache[i]);
        *used = 0;
    }
    cache[(*used)++] = filled(kCachedBytes);
}

__attribute__((noinline)) static void serve(int leaks, void** cache, int* used) {
    for (int i = 0; i < kKept; ++i) {
        void* scratch = filled(2000);
        keep_request(leaks);
        fill_cache(cache, used);
        free(scratch);
    }
}

int main(int argc, char** argv) {
    setvbuf(stdout, output, _IOLBF, sizeof output);
    const int leaks = argc > 1 && strcmp(argv[1], "leak") == 0;
    static void* cache[kCached];
    int used = 0;
    for (int i = 0; i < kRing; ++i) ring[i] = filled(kKeptBytes);
    printf("ready %d\n", getpid());
    struct pollfd input = {0, POLLIN, 0};
    while (poll(&input, 1, 10) == 0) serve(leaks, cache, &used);
    return 0;
}
