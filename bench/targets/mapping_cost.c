// mapping_cost FRAMES: measures one kind of call at a time, at a fixed stack depth, when told to.
//
// Reads lines `NAME COUNT` and answers each with the nanoseconds that one of COUNT took. It lives through all
// rounds of the benchmark, so that a block of it with a tool can stand beside a block of another without.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

enum { kRangeBytes = 64 << 10 };

// _start, two of libc's, main, serve, measure, and the called function of libc itself.
enum { kOtherFrames = 7 };

static double now_ns(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

static void pair(void) {
    void* range = mmap(0, kRangeBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (range == MAP_FAILED) abort();
    munmap(range, kRangeBytes);
}

// The cheapest memory call that there is: an empty range, advice that changes nothing.
static void advise(void) { madvise(0, 0, MADV_NORMAL); }

// One of eight functions calls another of them: the two frames nearest the leaf differ from call to call.
#define CALLER(n)                          \
    static NOINLINE void caller##n(void) { \
        advise();                          \
        __asm__ volatile("" ::: "memory"); \
    }
CALLER(0)
CALLER(1)
CALLER(2)
CALLER(3)
CALLER(4)
CALLER(5)
CALLER(6)
CALLER(7)
static void (*const callers[])(void) = {caller0, caller1, caller2, caller3,
                                        caller4, caller5, caller6, caller7};

static NOINLINE void call_by_two(unsigned turn) {
    callers[turn % 8]();
    __asm__ volatile("" ::: "memory");
}

static uint64_t cycles(void) {
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static NOINLINE void measure(const char* name, long count) {
    static volatile uint64_t sink;
    const double wall_start = now_ns(CLOCK_MONOTONIC);
    const double cpu_start = now_ns(CLOCK_THREAD_CPUTIME_ID);
    if (strcmp(name, "pair") == 0) {
        for (long i = 0; i < count; ++i) pair();
    } else if (strcmp(name, "madvise") == 0) {
        for (long i = 0; i < count; ++i) advise();
    } else if (strcmp(name, "varied") == 0) {
        for (long i = 0; i < count; ++i) call_by_two((unsigned)i * 2654435761u >> 16);
    } else if (strcmp(name, "syscall_getppid") == 0) {
        for (long i = 0; i < count; ++i) syscall(SYS_getppid);
    } else if (strcmp(name, "getppid") == 0) {
        for (long i = 0; i < count; ++i) getppid();
    } else if (strcmp(name, "rdtsc") == 0) {
        for (long i = 0; i < count; ++i) sink = cycles();
    } else if (strcmp(name, "exchange") == 0) {
        for (long i = 0; i < count; ++i) __atomic_fetch_add(&sink, 1, __ATOMIC_SEQ_CST);
    } else {
        fprintf(stderr, "mapping_cost: no measurement is called %s\n", name);
        exit(2);
    }
    const double cpu = now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_start;
    const double wall = now_ns(CLOCK_MONOTONIC) - wall_start;
    printf("%.2f %.2f\n", cpu / count, wall / count);
    fflush(stdout);
}

static NOINLINE void serve(void) {
    char name[32];
    long count;
    while (scanf("%31s %ld", name, &count) == 2) measure(name, count);
}

static NOINLINE void descend(int frames) {
    if (frames <= 0) {
        serve();
    } else {
        descend(frames - 1);
    }
    __asm__ volatile("" ::: "memory");  // keeps the recursion from becoming a loop
}

int main(int argc, char** argv) {
    const int frames = argc > 1 ? atoi(argv[1]) : 30;
    descend(frames - kOtherFrames - 1);
    return 0;
}
