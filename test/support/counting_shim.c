// counting_shim.so: a second opinion on the heap. Preloaded behind the shim it is what the shim takes for the
// real allocator, so both see the same calls; it passes them on to the next definition and counts.
//
// The counts lie in a shared mapping of the file $OFFHEAP_COUNTS/PID, up to date to the last call: nothing
// has to run at the process's end. A forked child has a file and counts of its own, from zero, as it has a
// channel of its own. A process without the shim (the collector inherits LD_PRELOAD too) has none.
//
// One lock around one table: not for programs whose signal handlers allocate.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// In the order of heap-counts.ts.
struct counts {
    uint64_t allocations, frees, unknown_frees, live_bytes, live_blocks, allocated_bytes;
};
static struct counts before_file;  // until the constructor runs, and where there is no file
static struct counts* counts = &before_file;

// ---- live blocks by address: open addressing, in .bss, of which only the touched pages exist ----

enum { kSlots = 1 << 22 };
static struct {
    uintptr_t address;
    size_t bytes;
} table[kSlots] __attribute__((aligned(4096)));
static int lock;

static void take_lock(void) {
    while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE) != 0) sched_yield();
}
static void drop_lock(void) { __atomic_store_n(&lock, 0, __ATOMIC_RELEASE); }

static size_t home(uintptr_t address) { return (address >> 4) * 0x9e3779b97f4a7c15ULL >> (64 - 22); }

static void add(void* block, size_t bytes) {
    take_lock();
    ++counts->allocations;
    counts->allocated_bytes += bytes;
    counts->live_bytes += bytes;
    if (++counts->live_blocks > kSlots / 4 * 3) abort();
    size_t slot = home((uintptr_t)block);
    while (table[slot].address != 0) slot = (slot + 1) % kSlots;
    table[slot].address = (uintptr_t)block;
    table[slot].bytes = bytes;
    drop_lock();
}

// Moves up what stands behind an emptied slot and could no longer be found.
static void close_gap(size_t gap) {
    for (size_t slot = (gap + 1) % kSlots; table[slot].address != 0; slot = (slot + 1) % kSlots) {
        if ((slot - home(table[slot].address)) % kSlots < (slot - gap) % kSlots) continue;
        table[gap] = table[slot];
        gap = slot;
    }
    table[gap].address = 0;
}

static const size_t kUnknown = ~(size_t)0;

// The block's bytes. Before it is freed: another thread may get the address while free() returns.
static size_t take(void* block) {
    take_lock();
    size_t bytes = kUnknown;
    for (size_t slot = home((uintptr_t)block); table[slot].address != 0; slot = (slot + 1) % kSlots) {
        if (table[slot].address != (uintptr_t)block) continue;
        bytes = table[slot].bytes;
        close_gap(slot);
        break;
    }
    if (bytes == kUnknown) {
        ++counts->unknown_frees;
    } else {
        ++counts->frees;
        counts->live_bytes -= bytes;
        --counts->live_blocks;
    }
    drop_lock();
    return bytes;
}

// A reallocation that failed took nothing.
static void take_back(void* block, size_t bytes) {
    if (bytes == kUnknown) {
        take_lock();
        --counts->unknown_frees;
        drop_lock();
        return;
    }
    add(block, bytes);
    take_lock();
    --counts->frees;
    --counts->allocations;
    counts->allocated_bytes -= bytes;
    drop_lock();
}

// ---- the next allocator ----

#define NEXT(type, name, ...)         \
    static type (*next)(__VA_ARGS__); \
    if (next == NULL) next = (type(*)(__VA_ARGS__))find_next(#name)

// dlsym may allocate: it gets of this, and nothing of it is ever given back.
static _Alignas(16) char bootstrap[4096];
static size_t bootstrap_used;
static int finding;

static void* find_next(const char* name) {
    __atomic_fetch_add(&finding, 1, __ATOMIC_RELAXED);
    void* found = dlsym(RTLD_NEXT, name);
    __atomic_fetch_sub(&finding, 1, __ATOMIC_RELAXED);
    if (found == NULL) abort();
    return found;
}

static int is_bootstrap(const void* block) {
    return (const char*)block >= bootstrap && (const char*)block < bootstrap + sizeof bootstrap;
}

static void* from_bootstrap(size_t bytes) {
    const size_t at = __atomic_fetch_add(&bootstrap_used, (bytes + 15) & ~(size_t)15, __ATOMIC_RELAXED);
    if (at + bytes > sizeof bootstrap) abort();
    return bootstrap + at;
}

static void* counted(void* block, size_t bytes) {
    if (block != NULL) add(block, bytes);
    return block;
}

void* malloc(size_t bytes) {
    NEXT(void*, malloc, size_t);
    return counted(next == NULL ? from_bootstrap(bytes) : next(bytes), bytes);
}

void* calloc(size_t count, size_t bytes) {
    if (finding) return counted(from_bootstrap(count * bytes), count * bytes);
    NEXT(void*, calloc, size_t, size_t);
    return counted(next(count, bytes), count * bytes);
}

void free(void* block) {
    if (block != NULL) take(block);
    if (is_bootstrap(block)) return;
    NEXT(void, free, void*);
    next(block);
}

void cfree(void* block) { free(block); }

static void* reallocated(void* block, void* fresh, size_t bytes, size_t old_bytes) {
    if (fresh != NULL) return counted(fresh, bytes);
    // Of zero bytes, NULL means that the block was freed.
    if (block != NULL && bytes != 0) take_back(block, old_bytes);
    return NULL;
}

void* realloc(void* block, size_t bytes) {
    NEXT(void*, realloc, void*, size_t);
    const size_t old_bytes = block == NULL ? 0 : take(block);
    return reallocated(block, next(block, bytes), bytes, old_bytes);
}

void* reallocarray(void* block, size_t count, size_t bytes) {
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    // Not by way of libc's reallocarray, which calls the first realloc in line: it would be counted twice.
    NEXT(void*, realloc, void*, size_t);
    const size_t old_bytes = block == NULL ? 0 : take(block);
    return reallocated(block, next(block, total), total, old_bytes);
}

int posix_memalign(void** block, size_t alignment, size_t bytes) {
    NEXT(int, posix_memalign, void**, size_t, size_t);
    const int error = next(block, alignment, bytes);
    if (error == 0) counted(*block, bytes);
    return error;
}

void* aligned_alloc(size_t alignment, size_t bytes) {
    NEXT(void*, aligned_alloc, size_t, size_t);
    return counted(next(alignment, bytes), bytes);
}

void* memalign(size_t alignment, size_t bytes) {
    NEXT(void*, memalign, size_t, size_t);
    return counted(next(alignment, bytes), bytes);
}

void* valloc(size_t bytes) {
    NEXT(void*, valloc, size_t);
    return counted(next(bytes), bytes);
}

void* pvalloc(size_t bytes) {
    NEXT(void*, pvalloc, size_t);
    return counted(next(bytes), bytes);
}

// ---- the file ----

static void open_file(void) {
    const char* folder = getenv("OFFHEAP_COUNTS");
    const char* preload = getenv("LD_PRELOAD");
    if (folder == NULL || preload == NULL || strstr(preload, "liboffheap.so") == NULL) return;
    char path[4096];
    snprintf(path, sizeof path, "%s/%d", folder, (int)getpid());
    const int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, sizeof *counts) != 0) abort();
    struct counts* shared = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (shared == MAP_FAILED) abort();
    close(file);
    *shared = *counts;
    counts = shared;
}

static void start_child(void) {
    memset(&before_file, 0, sizeof before_file);
    counts = &before_file;
    // Large and mostly untouched: exchanged for fresh pages, not written over.
    if (mmap(table, sizeof table, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
        table)
        abort();
    open_file();
    drop_lock();
}

__attribute__((constructor)) static void start(void) {
    open_file();
    pthread_atfork(take_lock, drop_lock, start_child);
}
