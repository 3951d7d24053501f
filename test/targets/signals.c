// signals ROUNDS: a timer interrupts a loop of mmap and munmap; its handlers map memory themselves, on the
// thread's stack and on an alternate one, and leave by siglongjmp every now and then. Prints how often each
// happened.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

enum { kBytes = 64 << 10, kAltBytes = 64 << 10 };

static sigjmp_buf jump;
static volatile sig_atomic_t may_jump, handled, jumped;
static void* volatile in_hand;  // mapped by the loop and not unmapped yet

static void* map_block(void) {
    void* block = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) abort();
    *(char*)block = 1;
    return block;
}

static void unmap_block(void* block) {
    if (munmap(block, kBytes) != 0) abort();
}

static void on_alarm(int signal) {
    unmap_block(map_block());
    ++handled;
    if (signal == SIGALRM && may_jump && handled % 7 == 0) {
        ++jumped;
        siglongjmp(jump, 1);
    }
}

static void install(int signal, int flags) {
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = flags};
    if (sigaction(signal, &action, NULL) != 0) abort();
}

int main(int argc, char** argv) {
    const long rounds = argc > 1 ? atol(argv[1]) : 2000;
    stack_t alternate = {.ss_sp = malloc(kAltBytes), .ss_size = kAltBytes};
    if (sigaltstack(&alternate, NULL) != 0) abort();
    install(SIGALRM, 0);
    install(SIGVTALRM, SA_ONSTACK);
    const struct itimerval real = {{0, 700}, {0, 700}}, virtual = {{0, 900}, {0, 900}},
                           off = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &real, NULL);
    setitimer(ITIMER_VIRTUAL, &virtual, NULL);

    for (volatile long i = 0; i < rounds; ++i) {
        // A jump out of munmap's signal leaves at most the block in hand; whether it was unmapped is not
        // known.
        if (sigsetjmp(jump, 1) == 0) {
            may_jump = 1;
            for (int n = 0; n < 10; ++n) {
                in_hand = map_block();
                unmap_block(in_hand);
            }
        }
        may_jump = 0;
    }
    setitimer(ITIMER_REAL, &off, NULL);
    setitimer(ITIMER_VIRTUAL, &off, NULL);
    printf("handled %d jumped %d\nREADY\n", (int)handled, (int)jumped);
    return 0;
}
