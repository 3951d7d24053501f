// heap_fcontext LIBBOOST_CONTEXT ROUNDS: coroutines of boost.context, which switch stacks without the kernel
// or libc knowing. Both sides allocate at changing depths.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef void* fcontext;
struct transfer {
    fcontext from;
    void* data;
};
static struct transfer (*jump)(fcontext, void*);
static fcontext (*make)(void*, size_t, void (*)(struct transfer));

__attribute__((noinline)) static void allocate(int depth) {
    if (depth > 0) {
        allocate(depth - 1);
        __asm__ volatile("" ::: "memory");
        return;
    }
    void* volatile block = malloc(64);
    free(block);
}

__attribute__((noinline)) static struct transfer yield_from(int depth, struct transfer caller) {
    struct transfer back;
    if (depth > 0) {
        back = yield_from(depth - 1, caller);
    } else {
        allocate(1);
        back = jump(caller.from, NULL);
        allocate(2);
    }
    __asm__ volatile("" ::: "memory");
    return back;
}

static void body(struct transfer caller) {
    for (int depth = 0;; depth = (depth + 3) % 17) {
        allocate(depth);
        caller = yield_from(depth, caller);
    }
}

int main(int argc, char** argv) {
    if (argc < 3) return 2;
    void* library = dlopen(argv[1], RTLD_NOW);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    *(void**)&jump = dlsym(library, "jump_fcontext");
    *(void**)&make = dlsym(library, "make_fcontext");
    enum { kCoroutines = 5, kStackBytes = 64 << 10 };
    fcontext contexts[kCoroutines];
    for (int i = 0; i < kCoroutines; ++i) {
        char* stack = malloc(kStackBytes);
        contexts[i] = make(stack + kStackBytes, kStackBytes, body);
    }
    const int rounds = atoi(argv[2]);
    for (int i = 0; i < rounds; ++i) {
        contexts[i % kCoroutines] = jump(contexts[i % kCoroutines], NULL).from;
        allocate(i % 23);
    }
    printf("switched %d times\n", rounds);
    return 0;
}
