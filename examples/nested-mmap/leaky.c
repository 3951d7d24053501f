// leaky SECONDS REQUESTS_PER_SECOND: a server that frees all that it maps, and grows all the same.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

enum { kRequestBytes = 64 << 10, kTicksPerSecond = 100 };

static NOINLINE char* read_request(void) {
    char* body = mmap(NULL, kRequestBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (body == MAP_FAILED) {
        perror("leaky: mmap");
        exit(1);
    }
    memset(body, 'x', 256);
    return body;
}

static NOINLINE void release_request(char* body) {
    if (munmap(body, kRequestBytes) != 0) abort();
}

static NOINLINE void handle_request(void) {
    char* body = read_request();
    release_request(body);
}

static long resident_kib(void) {
    long pages = 0;
    FILE* file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*s %ld", &pages) != 1) abort();
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static NOINLINE void serve(int seconds, int requests_per_second) {
    struct timespec tick;
    clock_gettime(CLOCK_MONOTONIC, &tick);
    for (int n = 0; n < seconds * kTicksPerSecond; ++n) {
        if (n % kTicksPerSecond == 0) {
            printf("leaky: %2d s, RSS %6.1f MiB\n", n / kTicksPerSecond, resident_kib() / 1024.0);
            fflush(stdout);
        }
        for (int i = 0; i < requests_per_second / kTicksPerSecond; ++i) handle_request();
        tick.tv_nsec += 1000000000 / kTicksPerSecond;
        if (tick.tv_nsec >= 1000000000) {
            tick.tv_nsec -= 1000000000;
            ++tick.tv_sec;
        }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &tick, NULL);
    }
}

int main(int argc, char** argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: leaky SECONDS REQUESTS_PER_SECOND\n");
        return 2;
    }
    serve(atoi(argv[1]), atoi(argv[2]));
    return 0;
}
