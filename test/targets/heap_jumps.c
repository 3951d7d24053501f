// heap_jumps ROUNDS: timers interrupt a loop that allocates and frees; their handlers do the same, on the
// thread's stack and on an alternate one, and leave by siglongjmp every now and then. To be run over an
// allocator that bears it (heap_bump). Prints `jumped N completed M`: M calls of malloc returned where they
// were made, and each jump may have left one that had not.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

static sigjmp_buf jump;
static volatile sig_atomic_t may_jump, handled, jumped;
static long completed;

static void complete(void) { __atomic_fetch_add(&completed, 1, __ATOMIC_RELAXED); }

__attribute__((noinline)) static void allocate(int depth) {
    if (depth > 0) {
        allocate(depth - 1);
        __asm__ volatile("" ::: "memory");
        return;
    }
    void* volatile block = malloc(40);
    complete();
    block = realloc(block, 80);
    complete();
    free(block);
}

static void on_alarm(int signal) {
    allocate(3);
    ++handled;
    if (may_jump && handled % 5 == 0) {
        ++jumped;
        (void)signal;
        siglongjmp(jump, 1);
    }
}

static void install(int signal, int flags) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_alarm;
    action.sa_flags = flags;
    // Neither interrupts the other: a jump out of one would leave the other's handler unfinished.
    sigaddset(&action.sa_mask, SIGALRM);
    sigaddset(&action.sa_mask, SIGVTALRM);
    if (sigaction(signal, &action, NULL) != 0) abort();
}

int main(int argc, char** argv) {
    const long rounds = argc > 1 ? atol(argv[1]) : 2000;
    static char alternate[256 << 10];
    const stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    if (sigaltstack(&stack, NULL) != 0) abort();
    install(SIGALRM, 0);
    install(SIGVTALRM, SA_ONSTACK);
    const struct itimerval real = {{0, 300}, {0, 300}}, virtual = {{0, 500}, {0, 500}},
                           off = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &real, NULL);
    setitimer(ITIMER_VIRTUAL, &virtual, NULL);
    for (volatile long i = 0; i < rounds; ++i) {
        if (sigsetjmp(jump, 1) == 0) {
            may_jump = 1;
            for (int n = 0; n < 200; ++n) allocate(n % 40);
        }
        may_jump = 0;
    }
    setitimer(ITIMER_REAL, &off, NULL);
    setitimer(ITIMER_VIRTUAL, &off, NULL);
    printf("jumped %d completed %ld\n", (int)jumped, completed);
    return 0;
}
