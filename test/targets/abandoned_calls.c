// abandoned_calls COUNT: runs mmap instruction by instruction and leaves it by siglongjmp, out of the signal
// handler: COUNT instructions before its end, then one less, and so on. Maps the same place each time. Prints
// `abandoned N`, how often it left.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { kBytes = 64 << 10, kTrapFlag = 0x100 };

static sigjmp_buf jump;
static volatile long steps, last_step;
static void* place;

static void on_step(int signal, siginfo_t* info, void* context) {
    (void)signal, (void)info, (void)context;
    if (++steps == last_step) siglongjmp(jump, 1);
}

static void map(void) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    if (mmap(place, kBytes, PROT_READ | PROT_WRITE, flags, -1, 0) != place) abort();
}

// With kTrapFlag, SIGTRAP comes after each instruction.
static void map_with(long flag) {
    __asm__ volatile("pushfq; orq %0, (%%rsp); popfq" ::"r"(flag) : "cc", "memory");
    map();
    __asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "cc", "memory");
}

// From one place, so that what the first calls look up the last one remembers: it has as many instructions
// each time.
static void map_often(void) {
    for (int call = 0; call < 4; ++call) {
        steps = 0;
        map_with(call == 3 ? kTrapFlag : 0);
    }
}

int main(int argc, char** argv) {
    const long count = argc > 1 ? atol(argv[1]) : 100;
    place = mmap(NULL, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
    if (place == MAP_FAILED || sigaction(SIGTRAP, &action, NULL) != 0) abort();
    map_often();
    const long all = steps;
    volatile long abandoned = 0;
    for (volatile long before_end = count; before_end > 0; --before_end) {
        last_step = all - before_end;
        if (sigsetjmp(jump, 1) == 0) {
            map_often();
        } else {
            ++abandoned;
        }
    }
    last_step = 0;
    map();
    printf("abandoned %ld\n", abandoned);
    return 0;
}
