// exit_paths return | exit | _exit | abort | kill | segv | thread | pthread_exit: ends in the way named,
// having mapped 1 MiB that is never unmapped. Ways that run no destructor must leave as complete a channel as
// the others.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void* exit_from_thread(void* unused) {
    (void)unused;
    exit(7);
}

static void* end_after_main(void* unused) {
    usleep(50000);
    return unused;
}

int main(int argc, char** argv) {
    const char* way = argc > 1 ? argv[1] : "return";
    char* block = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) return 1;
    block[0] = 1;
    printf("READY\n");
    fflush(stdout);

    pthread_t thread;
    if (strcmp(way, "exit") == 0) exit(3);
    if (strcmp(way, "_exit") == 0) _exit(4);
    if (strcmp(way, "abort") == 0) abort();
    if (strcmp(way, "kill") == 0) kill(getpid(), SIGKILL);
    if (strcmp(way, "segv") == 0) raise(SIGSEGV);
    if (strcmp(way, "thread") == 0) {
        pthread_create(&thread, NULL, exit_from_thread, NULL);
        pause();
    }
    if (strcmp(way, "pthread_exit") == 0) {
        pthread_create(&thread, NULL, end_after_main, NULL);
        pthread_exit(NULL);
    }
    return 0;
}
