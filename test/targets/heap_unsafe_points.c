// Calls its allocator only where nobody may call it in between. Usage: heap_unsafe_points handler|alternate|inside
//   handler     in a signal handler, on the thread's stack
//   alternate   in a signal handler, on a stack of its own
//   inside      inside of its allocator, test/targets/libnested_malloc.c, which has to be preloaded
// Prints "ready PID"; at the end of its input it allocates as everybody does, and prints "served" after that.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static char output[4096];

__attribute__((noinline)) static void allocate(void) {
    void* volatile block = malloc(100);
    free(block);
}

static void on_alarm(int signal) {
    (void)signal;
    allocate();
}

static void allocate_by_signals(int flags) {
    static char memory[1 << 16];
    const stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};
    if (sigaltstack(&stack, NULL) != 0) abort();
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART | flags};
    sigaction(SIGALRM, &action, NULL);
    const struct itimerval often = {{0, 5000}, {0, 5000}};
    setitimer(ITIMER_REAL, &often, NULL);
}

static int input_ended(int wait_ms) {
    struct pollfd input = {0, POLLIN, 0};
    return poll(&input, 1, wait_ms) > 0;
}

int main(int argc, char** argv) {
    const char* mode = argc > 1 ? argv[1] : "";
    void (*call_inside)(void (*)(void)) = dlsym(RTLD_DEFAULT, "call_inside_of_malloc");
    setvbuf(stdout, output, _IOLBF, sizeof output);
    printf("ready %d\n", getpid());
    if (strcmp(mode, "handler") == 0) allocate_by_signals(0);
    if (strcmp(mode, "alternate") == 0) allocate_by_signals(SA_ONSTACK);
    while (!input_ended(5)) {
        if (strcmp(mode, "inside") == 0) call_inside(allocate);
    }
    const struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &never, NULL);
    for (int i = 0; i < 2000; ++i) {
        allocate();
        usleep(1000);
    }
    printf("served\n");
    return 0;
}
