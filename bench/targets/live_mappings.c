// live_mappings COUNT: maps COUNT ranges, keeps them, and replaces them one after the other when told to.
//
// Reads lines `SECONDS RATE`: maps and unmaps for so long at RATE pairs per second, or as fast as it can if
// RATE is 0, and answers with the number of pairs. The kernel merges the ranges; a ledger does not.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { kRangeBytes = 16 << 10, kTouchedOneIn = 8, kBatch = 100 };

static char** ranges;
static long count;

static double now_seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static char* map(void) {
    char* range =
        mmap(0, kRangeBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) abort();
    return range;
}

// One hole at a time: the kernel allows a process 65,530 separate ranges.
static void replace(unsigned long turn) {
    char** range = &ranges[turn * 7919 % (unsigned long)count];
    munmap(*range, kRangeBytes);
    *range = map();
}

static long churn(double seconds, long rate) {
    const double start = now_seconds();
    long pairs = 0;
    for (;;) {
        const double passed = now_seconds() - start;
        if (passed >= seconds) return pairs;
        for (int i = 0; i < kBatch; ++i) replace((unsigned long)pairs++);
        const double ahead = rate == 0 ? 0 : (double)pairs / rate - (now_seconds() - start);
        if (ahead > 0.001) {
            const struct timespec pause = {0, (long)(ahead * 1e9)};
            nanosleep(&pause, NULL);
        }
    }
}

int main(int argc, char** argv) {
    count = argc > 1 ? atol(argv[1]) : 100;
    ranges = calloc((size_t)count, sizeof *ranges);
    if (ranges == NULL) return 1;
    for (long i = 0; i < count; ++i) {
        ranges[i] = map();
        if (i % kTouchedOneIn == 0) ranges[i][0] = 1;
    }
    printf("READY\n");
    fflush(stdout);
    double seconds;
    long rate;
    while (scanf("%lf %ld", &seconds, &rate) == 2) {
        printf("%ld\n", churn(seconds, rate));
        fflush(stdout);
    }
    return 0;
}
