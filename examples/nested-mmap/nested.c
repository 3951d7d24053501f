// libnested.so: a cache that wants to know which memory its program unmaps, as UCX's registration cache does.
//
// It stands in front of munmap and notes every unmapped range in a list that is emptied "at the next lookup".
// A program that never looks up anything again leaks one note per munmap. The notes come from a pool that
// maps its chunks by libc's syscall(), so that no hook on mmap or malloc ever sees them.
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

enum { kChunkBytes = 256 << 10 };

struct note {
    struct note* next;
    void* start;
    size_t bytes;
    uint8_t details[232];
};

static struct note* free_notes;
static struct note* pending_notes;
static int lock;

static NOINLINE void* chunk_alloc(void) {
    const long address =
        syscall(SYS_mmap, NULL, kChunkBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return address == -1 ? NULL : (void*)address;
}

static NOINLINE int pool_grow(void) {
    struct note* notes = chunk_alloc();
    if (notes == NULL) return 0;
    for (size_t i = 0; i < kChunkBytes / sizeof(struct note); ++i) {
        notes[i].next = free_notes;
        free_notes = &notes[i];
    }
    return 1;
}

static NOINLINE void nested_munmap_hook(void* start, size_t bytes) {
    while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE)) continue;
    if (free_notes != NULL || pool_grow()) {
        struct note* note = free_notes;
        free_notes = note->next;
        note->start = start;
        note->bytes = bytes;
        note->next = pending_notes;
        pending_notes = note;
    }
    __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
}

// The program's munmap, libc's too where it calls itself through the dynamic symbol.
int munmap(void* start, size_t bytes) {
    nested_munmap_hook(start, bytes);
    return (int)syscall(SYS_munmap, start, bytes);
}
