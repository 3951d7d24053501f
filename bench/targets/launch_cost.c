// launch_cost [-o FILE] COUNT [NAME=VALUE...] COMMAND ARG...: runs a command COUNT times, one after the other,
// with these variables added to its environment. Prints a line `WALL CPU` for each run, in nanoseconds; CPU is
// that of the command and of all that it has waited for. What the command prints goes to standard error; with
// -o, the lines go to FILE and what the command prints goes nowhere.
//
// The variables are the command's alone: a preloaded shim must not be in what measures it.
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static long nanoseconds(struct timeval time) { return time.tv_sec * 1000000000L + time.tv_usec * 1000L; }

static char** with_variables(char** variables, int count) {
    int inherited = 0;
    while (environ[inherited] != NULL) ++inherited;
    char** all = calloc((size_t)(count + inherited + 1), sizeof *all);
    if (all == NULL) abort();
    memcpy(all, variables, (size_t)count * sizeof *all);
    memcpy(all + count, environ, (size_t)inherited * sizeof *all);
    return all;
}

int main(int argc, char** argv) {
    FILE* lines = stdout;
    const int to_file = argc > 2 && strcmp(argv[1], "-o") == 0;
    if (to_file) {
        lines = fopen(argv[2], "we");
        if (lines == NULL) {
            perror(argv[2]);
            return 1;
        }
        argv += 2;
        argc -= 2;
    }
    int command = 2;
    while (command < argc && strchr(argv[command], '=') != NULL) ++command;
    if (command >= argc) {
        fprintf(stderr, "usage: launch_cost [-o FILE] COUNT [NAME=VALUE...] COMMAND ARG...\n");
        return 2;
    }
    char** environment = with_variables(argv + 2, command - 2);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (to_file) {
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    } else {
        posix_spawn_file_actions_adddup2(&actions, 2, 1);
    }
    for (long left = atol(argv[1]); left > 0; --left) {
        pid_t child;
        int status;
        struct rusage used;
        const long start = now_ns();
        const int error = posix_spawnp(&child, argv[command], &actions, NULL, argv + command, environment);
        if (error != 0) {
            fprintf(stderr, "launch_cost: %s: %s\n", argv[command], strerror(error));
            return 1;
        }
        if (wait4(child, &status, 0, &used) < 0) abort();
        const long wall = now_ns() - start;
        if (status != 0) {
            fprintf(stderr, "launch_cost: %s ended with status %d\n", argv[command], status);
            return 1;
        }
        fprintf(lines, "%ld %ld\n", wall, nanoseconds(used.ru_utime) + nanoseconds(used.ru_stime));
    }
    return fclose(lines) == 0 ? 0 : 1;
}
