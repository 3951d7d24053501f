// heap_overflow: recurses and allocates until its stack is full, in the main thread and in one with a small
// stack. The handler on an alternate stack allocates, and jumps out. Over an allocator that bears being left
// (heap_bump).
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static __thread sigjmp_buf jump;
static volatile int deepest = 1 << 30;

__attribute__((noinline)) static int recurse(int depth) {
    char local[1000];
    memset(local, depth, sizeof local);
    __asm__ volatile("" : : "r"(local) : "memory");
    if (depth % 16 == 0) {
        void* volatile block = malloc(100);
        free(block);
    }
    return (depth < deepest ? recurse(depth + 1) : 0) + local[depth % 1000];
}

static void on_fault(int signal) {
    void* volatile block = malloc((size_t)signal);
    free(block);
    siglongjmp(jump, 1);
}

static void* overflow(void* name) {
    char* alternate = malloc(64 << 10);
    const stack_t stack = {.ss_sp = alternate, .ss_size = 64 << 10};
    if (sigaltstack(&stack, NULL) != 0) abort();
    for (volatile int i = 0; i < 3; ++i) {
        if (sigsetjmp(jump, 1) == 0) recurse(1);
        void* volatile block = malloc(10);
        free(block);
        printf("%s overflowed\n", (const char*)name);
    }
    const stack_t none = {.ss_flags = SS_DISABLE};
    sigaltstack(&none, NULL);
    return NULL;
}

int main(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_fault;
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGSEGV, &action, NULL);
    overflow("main");
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 << 10);
    pthread_t thread;
    if (pthread_create(&thread, &attributes, overflow, "thread") != 0) abort();
    pthread_join(thread, NULL);
    puts("alive");
    return 0;
}
