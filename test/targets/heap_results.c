// heap_results [tame]: calls with sizes and alignments at and beyond the limits, each with its result and
// errno. Prints no addresses, so that the table of one run is that of another. `tame` leaves out what the
// manual leaves undefined and some allocators die of: alignments of aligned_alloc and memalign that are no
// powers of two.
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The compiler knows these functions: it would take calls away or foresee their results.
static void* (*volatile do_malloc)(size_t) = malloc;
static void* (*volatile do_calloc)(size_t, size_t) = calloc;
static void* (*volatile do_realloc)(void*, size_t) = realloc;
static void* (*volatile do_reallocarray)(void*, size_t, size_t) = reallocarray;
static void (*volatile do_free)(void*) = free;
static int (*volatile do_posix_memalign)(void**, size_t, size_t) = posix_memalign;
static void* (*volatile do_aligned_alloc)(size_t, size_t) = aligned_alloc;
static void* (*volatile do_memalign)(size_t, size_t) = memalign;
static void* (*volatile do_valloc)(size_t) = valloc;
static void* (*volatile do_pvalloc)(size_t) = pvalloc;

static const size_t kSizes[] = {0,
                                1,
                                15,
                                16,
                                17,
                                4095,
                                4096,
                                4097,
                                (128 << 10) - 1,
                                1 << 20,
                                (size_t)PTRDIFF_MAX - 4096,
                                (size_t)PTRDIFF_MAX - 1,
                                PTRDIFF_MAX,
                                (size_t)PTRDIFF_MAX + 1,
                                SIZE_MAX - 4096,
                                SIZE_MAX - 15,
                                SIZE_MAX};
static const size_t kAlignments[] = {
    0, 1, 2, 3, 7, 8, 16, 24, 32, 64, 100, 4096, 5000, 1 << 20, SIZE_MAX / 2 + 1, SIZE_MAX};
enum {
    kSizesCount = sizeof kSizes / sizeof *kSizes,
    kAlignmentsCount = sizeof kAlignments / sizeof *kAlignments
};

static int is_power_of_two(size_t number) { return number != 0 && (number & (number - 1)) == 0; }

static int errno_of_call;
// Before each call: what it leaves alone is seen.
#define CALL(result, call)     \
    do {                       \
        errno = 77;            \
        result = call;         \
        errno_of_call = errno; \
    } while (0)

static void check(const char* name, size_t first, size_t second, void* block, size_t alignment) {
    printf("%s(%zu, %zu): %s", name, first, second, block == NULL ? "null" : "block");
    if (block != NULL && is_power_of_two(alignment)) {
        printf(" %s", (uintptr_t)block % alignment == 0 ? "aligned" : "misaligned");
    }
    printf(" errno %d\n", errno_of_call);
    errno = 78;
    do_free(block);
    if (errno != 78) printf("free changed errno to %d\n", errno);
}

static void check_reallocations(void) {
    void* block;
    for (int i = 0; i < kSizesCount; ++i) {
        char* old = do_malloc(40);
        strcpy(old, "what was there");
        CALL(block, do_realloc(old, kSizes[i]));
        const int failed = block == NULL && kSizes[i] != 0;
        const char* kept = failed ? old : block;
        if (kSizes[i] >= 15) printf("  %s\n", kept);
        check("realloc", 40, kSizes[i], block, 16);
        if (failed) do_free(old);
        CALL(block, do_realloc(NULL, kSizes[i]));
        check("realloc NULL", 0, kSizes[i], block, 16);
        for (size_t count = 0; count < 4; ++count) {
            CALL(block, do_reallocarray(NULL, count, kSizes[i]));
            check("reallocarray", count, kSizes[i], block, 16);
        }
    }
    // Grown step by step, as buffers are: the contents move along.
    unsigned char* buffer = NULL;
    for (size_t bytes = 1; bytes < 3 << 20; bytes = bytes * 3 + 1) {
        buffer = do_realloc(buffer, bytes);
        memset(buffer + bytes / 3, (int)bytes & 0xff, bytes - bytes / 3);
        if (bytes > 1 && buffer[bytes / 3 - 1] != (unsigned char)((bytes - 1) / 3 & 0xff))
            puts("contents lost");
    }
    do_free(buffer);
}

int main(int argc, char** argv) {
    const int is_tame = argc > 1 && strcmp(argv[1], "tame") == 0;
    void* block;
    for (int i = 0; i < kSizesCount; ++i) {
        CALL(block, do_malloc(kSizes[i]));
        check("malloc", 0, kSizes[i], block, 16);
        for (size_t count = 0; count < 4; ++count) {
            CALL(block, do_calloc(count, kSizes[i]));
            if (block != NULL && count * kSizes[i] > 0) {
                const char* bytes = block;
                if (bytes[0] != 0 || bytes[count * kSizes[i] - 1] != 0) puts("not cleared");
            }
            check("calloc", count, kSizes[i], block, 16);
        }
        CALL(block, do_valloc(kSizes[i]));
        check("valloc", 0, kSizes[i], block, 4096);
        if (!is_tame) {
            CALL(block, do_pvalloc(kSizes[i]));
            check("pvalloc", 0, kSizes[i], block, 4096);
        }
        for (int j = 0; j < kAlignmentsCount; ++j) {
            int error;
            block = (void*)&block;
            CALL(error, do_posix_memalign(&block, kAlignments[j], kSizes[i]));
            printf("posix_memalign: %d\n", error);
            if (error != 0 && block == (void*)&block) block = NULL;
            check("posix_memalign", kAlignments[j], kSizes[i], block, kAlignments[j]);
            if (is_tame && !is_power_of_two(kAlignments[j])) continue;
            CALL(block, do_aligned_alloc(kAlignments[j], kSizes[i]));
            check("aligned_alloc", kAlignments[j], kSizes[i], block, kAlignments[j]);
            CALL(block, do_memalign(kAlignments[j], kSizes[i]));
            check("memalign", kAlignments[j], kSizes[i], block, kAlignments[j]);
        }
    }
    CALL(block, do_calloc(SIZE_MAX / 2, 3));
    check("calloc", SIZE_MAX / 2, 3, block, 16);
    CALL(block, do_reallocarray(NULL, SIZE_MAX / 2, 3));
    check("reallocarray", SIZE_MAX / 2, 3, block, 16);
    check_reallocations();
    block = do_malloc(100);
    printf("usable %zu\n", malloc_usable_size(block));
    do_free(block);
    do_free(NULL);
    return 0;
}
