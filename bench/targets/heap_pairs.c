// heap_pairs FRAMES: measures one pattern of malloc and free at a time, at a fixed stack depth, when told to.
//
// Reads lines `NAME COUNT [LEVELS]` and answers each with the nanoseconds of CPU that one of COUNT pairs took, and
// with how many were made: a tool may be so slow that not all are. It lives through all rounds of the benchmark, so that a block of it with a tool can stand
// beside a block of another without.
//
//   pair       a block is freed at once
//   descended  the same, the whole stack rebuilt for each pair
//   kept       a block is freed after 1,000 more: farther back than a tool may look to forget both
//   crossed    two threads allocate COUNT blocks each and free each other's
//   stacks     each pair from another stack: the leaves of a binary tree of LEVELS calls, in a random order
//   walk       the same in the order of a recursion through that tree
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
// Keeps a recursion from becoming a loop, and calls on both sides of a branch from being merged.
#define BARRIER() __asm__ volatile("" ::: "memory")

enum { kBlockBytes = 48, kKeptBlocks = 1000, kMostSeconds = 10 };

// _start, two of libc's, main, serve, measure, and the function that calls malloc.
enum { kOtherFrames = 7 };

static int frames;

static double now_ns(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

// Compilers remove a pair whose block nobody looks at.
static void* allocate(void) {
    void* block = malloc(kBlockBytes);
    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}

static NOINLINE void pairs(long count) {
    for (long i = 0; i < count; ++i) free(allocate());
}

static NOINLINE void descended_pair(int left) {
    if (left <= 0) {
        free(allocate());
    } else {
        descended_pair(left - 1);
    }
    BARRIER();
}

static NOINLINE void kept_pairs(long count) {
    static void* kept[kKeptBlocks];
    static unsigned at;
    for (long i = 0; i < count; ++i) {
        free(kept[at]);
        kept[at] = allocate();
        at = (at + 1) % kKeptBlocks;
    }
}

// ---- each pair from another stack ----

static NOINLINE void left_branch(uint32_t path, int levels);
static NOINLINE void right_branch(uint32_t path, int levels);

static inline __attribute__((always_inline)) void branch(uint32_t path, int levels) {
    if (levels == 0) {
        free(allocate());
    } else if ((path & 1) != 0) {
        right_branch(path >> 1, levels - 1);
    } else {
        left_branch(path >> 1, levels - 1);
    }
    BARRIER();
}
static NOINLINE void left_branch(uint32_t path, int levels) { branch(path, levels); }
static NOINLINE void right_branch(uint32_t path, int levels) { branch(path, levels); }

// Every number below 2^bits once, in an order without regularity: each step can be undone.
static uint32_t shuffled(uint32_t number, int bits) {
    const uint32_t mask = (1u << bits) - 1;
    for (int round = 0; round < 3; ++round) {
        number = number * 0x9e3779b1u & mask;
        number ^= number >> (bits / 2 + 1);
    }
    return number;
}

// Returns how many pairs it made in the time that there is.
static NOINLINE long stacks(long count, int levels) {
    const double until = now_ns(CLOCK_MONOTONIC) + kMostSeconds * 1e9;
    const uint32_t mask = (1u << levels) - 1;
    for (long i = 0; i < count; ++i) {
        left_branch(shuffled((uint32_t)i & mask, levels), levels);
        if (i % 512 == 511 && now_ns(CLOCK_MONOTONIC) > until) return i + 1;
    }
    return count;
}

static NOINLINE void left_subtree(long* left, int levels);
static NOINLINE void right_subtree(long* left, int levels);

static inline __attribute__((always_inline)) void subtree(long* left, int levels) {
    if (*left == 0) return;
    if (levels == 0) {
        --*left;
        free(allocate());
        BARRIER();
        return;
    }
    left_subtree(left, levels - 1);
    BARRIER();
    right_subtree(left, levels - 1);
    BARRIER();
}
static NOINLINE void left_subtree(long* left, int levels) { subtree(left, levels); }
static NOINLINE void right_subtree(long* left, int levels) { subtree(left, levels); }

// ---- two threads ----

// Blocks on their way from one thread to the other: one puts, one takes. In batches, so that few of the cache lines
// that travel between the two are the queue's own.
enum { kInboxBlocks = 4096, kBatch = 64 };
struct Inbox {
    _Alignas(64) atomic_ulong put;
    _Alignas(64) atomic_ulong taken;
    _Alignas(64) void* blocks[kInboxBlocks];
};
static struct Inbox inboxes[2];

struct Exchange {
    struct Inbox* own;
    struct Inbox* other;
    long count;
    double cpu_ns;
};

static void exchange(struct Exchange* side) {
    const double start = now_ns(CLOCK_THREAD_CPUTIME_ID);
    unsigned long put = atomic_load(&side->other->put);
    unsigned long taken = atomic_load(&side->own->taken);
    const unsigned long put_all = put + (unsigned long)side->count;
    const unsigned long taken_all = taken + (unsigned long)side->count;
    unsigned long taken_by_other = atomic_load(&side->other->taken);
    while (put != put_all || taken != taken_all) {
        if (put - taken_by_other > kInboxBlocks - kBatch) {
            taken_by_other = atomic_load_explicit(&side->other->taken, memory_order_acquire);
        }
        const int can_put = put != put_all && put - taken_by_other <= kInboxBlocks - kBatch;
        if (can_put) {
            for (int i = 0; i < kBatch; ++i) side->other->blocks[put++ % kInboxBlocks] = allocate();
            atomic_store_explicit(&side->other->put, put, memory_order_release);
        }
        unsigned long here = atomic_load_explicit(&side->own->put, memory_order_acquire) - taken;
        const int can_take = here > 0;
        for (; here > 0; --here) free(side->own->blocks[taken++ % kInboxBlocks]);
        if (can_take) atomic_store_explicit(&side->own->taken, taken, memory_order_release);
        // Waiting must not look like work: CPU time is what is measured.
        if (!can_put && !can_take) nanosleep(&(struct timespec){0, 50000}, NULL);
    }
    side->cpu_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) - start;
}

static NOINLINE void descend_and_exchange(int left, struct Exchange* side) {
    if (left <= 0) {
        exchange(side);
    } else {
        descend_and_exchange(left - 1, side);
    }
    BARRIER();
}

static void* other_thread(void* side) {
    descend_and_exchange(frames - kOtherFrames, side);
    return NULL;
}

// Returns the CPU time of both threads.
static double crossed(long count) {
    struct Exchange here = {&inboxes[0], &inboxes[1], count, 0};
    struct Exchange there = {&inboxes[1], &inboxes[0], count, 0};
    pthread_t thread;
    if (pthread_create(&thread, NULL, other_thread, &there) != 0) abort();
    exchange(&here);
    pthread_join(thread, NULL);
    return here.cpu_ns + there.cpu_ns;
}

// ---- serving ----

static NOINLINE void measure(const char* name, long count, int levels) {
    double cpu = -now_ns(CLOCK_THREAD_CPUTIME_ID);
    long made = count;
    if (strcmp(name, "pair") == 0) {
        pairs(count);
    } else if (strcmp(name, "descended") == 0) {
        for (long i = 0; i < count; ++i) descended_pair(levels);
    } else if (strcmp(name, "kept") == 0) {
        kept_pairs(count);
    } else if (strcmp(name, "stacks") == 0) {
        made = stacks(count, levels);
    } else if (strcmp(name, "walk") == 0) {
        for (long left = count; left > 0;) left_subtree(&left, levels);
    } else if (strcmp(name, "crossed") == 0) {
        count -= count % kBatch;
        made = 2 * count;
        cpu = crossed(count) - now_ns(CLOCK_THREAD_CPUTIME_ID);
    } else {
        fprintf(stderr, "heap_pairs: no measurement is called %s\n", name);
        exit(2);
    }
    cpu += now_ns(CLOCK_THREAD_CPUTIME_ID);
    printf("%.2f %ld\n", cpu / (double)made, made);
    fflush(stdout);
}

static NOINLINE void serve(void) {
    char line[64];
    while (fgets(line, sizeof line, stdin) != NULL) {
        char name[32];
        long count = 0;
        int levels = 0;
        if (sscanf(line, "%31s %ld %d", name, &count, &levels) >= 2) measure(name, count, levels);
    }
}

static NOINLINE void descend(int left) {
    if (left <= 0) {
        serve();
    } else {
        descend(left - 1);
    }
    BARRIER();
}

int main(int argc, char** argv) {
    frames = argc > 1 ? atoi(argv[1]) : 30;
    descend(frames - kOtherFrames - 1);
    return 0;
}
