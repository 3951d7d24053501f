// heap_bump.so: an allocator that forgives: it hands out memory and takes none back. Nothing of it can be
// left half done, so a handler may allocate, or leave by siglongjmp, wherever it interrupts; blocks may be
// freed twice, and pointers that it never gave out as well. Preloaded behind the shim.
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

static const size_t kArenaBytes = (size_t)64 << 30;
static const size_t kHeadBytes = 16;  // holds the block's size
static char* arena;
static size_t used;

static char* start_of_arena(void) {
    char* present = __atomic_load_n(&arena, __ATOMIC_ACQUIRE);
    if (present != NULL) return present;
    char* fresh =
        mmap(NULL, kArenaBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (fresh == MAP_FAILED) __builtin_trap();
    if (__atomic_compare_exchange_n(&arena, &present, fresh, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return fresh;
    munmap(fresh, kArenaBytes);
    return present;
}

static void* take(size_t alignment, size_t bytes) {
    if (bytes > kArenaBytes / 4 || alignment > kArenaBytes / 4) {
        errno = ENOMEM;
        return NULL;
    }
    if (alignment < kHeadBytes) alignment = kHeadBytes;
    char* base = start_of_arena();
    const size_t at = __atomic_fetch_add(&used, bytes + alignment + 2 * kHeadBytes, __ATOMIC_RELAXED);
    if (at > kArenaBytes / 2) {
        errno = ENOMEM;
        return NULL;
    }
    const uintptr_t block = ((uintptr_t)base + at + kHeadBytes + alignment - 1) & -(uintptr_t)alignment;
    *(size_t*)(block - kHeadBytes) = bytes;
    return (void*)block;
}

void* malloc(size_t bytes) { return take(16, bytes); }
void free(void* block) { (void)block; }

void* calloc(size_t count, size_t bytes) {
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total)) total = SIZE_MAX;
    return take(16, total);
}

void* realloc(void* block, size_t bytes) {
    char* fresh = take(16, bytes);
    const char* base = start_of_arena();
    const int is_ours = (char*)block > base && (char*)block < base + kArenaBytes;
    if (fresh != NULL && is_ours) {
        const size_t old_bytes = *(size_t*)((char*)block - kHeadBytes);
        memcpy(fresh, block, old_bytes < bytes ? old_bytes : bytes);
    }
    return fresh;
}

void* memalign(size_t alignment, size_t bytes) { return take(alignment, bytes); }
void* aligned_alloc(size_t alignment, size_t bytes) { return take(alignment, bytes); }
void* valloc(size_t bytes) { return take(4096, bytes); }
void* pvalloc(size_t bytes) { return take(4096, bytes); }
int posix_memalign(void** block, size_t alignment, size_t bytes) {
    void* taken = take(alignment, bytes);
    if (taken == NULL) return ENOMEM;
    *block = taken;
    return 0;
}
