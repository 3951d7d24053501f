// coroutines ROUNDS: makecontext coroutines on stacks of their own map memory, each under its own function,
// and give way to each other in between. One coroutine's stack ends right below an unmapped page.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { kStackBytes = 64 << 10, kPage = 4096, kBytes = 32 << 10 };

static ucontext_t scheduler, contexts[2];
static long rounds;

static void* map_block(size_t bytes) {
    char* block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) abort();
    block[0] = 1;
    return block;
}

static void give_way(int self) {
    if (swapcontext(&contexts[self], &scheduler) != 0) abort();
}

static void __attribute__((noinline)) first_coroutine(void) {
    for (long i = 0; i < rounds; ++i) {
        map_block(kBytes);
        give_way(0);
    }
}

static void __attribute__((noinline)) second_coroutine(void) {
    for (long i = 0; i < rounds; ++i) {
        void* block = map_block(2 * kBytes);
        give_way(1);
        if (munmap(block, 2 * kBytes) != 0) abort();
    }
}

static void prepare(ucontext_t* context, void (*body)(void)) {
    char* stack = map_block(kStackBytes + kPage);
    // Reading past the stack's end faults: an unwinder has to stop where the coroutine began.
    if (mprotect(stack + kStackBytes, kPage, PROT_NONE) != 0) abort();
    getcontext(context);
    context->uc_stack.ss_sp = stack;
    context->uc_stack.ss_size = kStackBytes;
    context->uc_link = &scheduler;
    makecontext(context, body, 0);
}

int main(int argc, char** argv) {
    rounds = argc > 1 ? atol(argv[1]) : 100;
    prepare(&contexts[0], first_coroutine);
    prepare(&contexts[1], second_coroutine);
    for (long i = 0; i <= rounds; ++i) {
        swapcontext(&scheduler, &contexts[0]);
        swapcontext(&scheduler, &contexts[1]);
    }
    printf("kept_bytes %ld\nREADY\n", rounds * kBytes);
    return 0;
}
