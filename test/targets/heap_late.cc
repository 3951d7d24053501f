// heap_late: allocates where few think of it: in early constructors, in destructors of thread-specific and
// thread-local objects, in signal handlers, in atexit handlers and static destructors. Each place keeps a
// number of blocks of a size of its own.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <initializer_list>

namespace {

__attribute__((noinline)) void keep(int blocks, size_t bytes) {
    for (int i = 0; i < blocks; ++i) {
        void* volatile kept = malloc(bytes);
        static_cast<void>(kept);
        void* volatile gone = malloc(bytes + 1);
        free(gone);
    }
}

// Kept from being one function: their frames tell the places apart.
#define PLACE(name, blocks, bytes)          \
    __attribute__((noinline)) void name() { \
        keep(blocks, bytes);                \
        __asm__ volatile("" ::: "memory");  \
    }
PLACE(in_early_constructor, 3, 1001)
PLACE(in_constructor, 4, 1003)
PLACE(in_key_destructor, 5, 1005)
PLACE(in_thread_local_destructor, 6, 1007)
PLACE(in_handler, 7, 1009)
PLACE(in_atexit, 8, 1011)
PLACE(in_static_destructor, 9, 1013)
PLACE(in_destructor_function, 10, 1015)

__attribute__((constructor(101))) void construct_early() { in_early_constructor(); }

struct Static {
    Static() { in_constructor(); }
    ~Static() { in_static_destructor(); }
} object;

__attribute__((destructor(101))) void destroy_late() { in_destructor_function(); }

struct ThreadLocal {
    ~ThreadLocal() { in_thread_local_destructor(); }
    int used = 0;
};
thread_local ThreadLocal thread_local_object;

pthread_key_t key;

// Sets itself again: the destructors run in as many rounds as there may be (PTHREAD_DESTRUCTOR_ITERATIONS,
// 4).
void destroy_value(void* value) {
    in_key_destructor();
    const auto round = reinterpret_cast<size_t>(value);
    if (round < 4) pthread_setspecific(key, reinterpret_cast<void*>(round + 1));
}

void* run(void*) {
    thread_local_object.used = 1;
    pthread_setspecific(key, reinterpret_cast<void*>(size_t{1}));
    free(malloc(20));
    return nullptr;
}

// A thread whose first allocation is made by its destructors.
void* run_without_allocating(void*) {
    pthread_setspecific(key, reinterpret_cast<void*>(size_t{1}));
    return nullptr;
}

}  // namespace

int main() {
    pthread_key_create(&key, destroy_value);
    atexit(in_atexit);
    for (void* (*body)(void*) : {run, run_without_allocating}) {
        pthread_t thread;
        if (pthread_create(&thread, nullptr, body, nullptr) != 0) return 1;
        pthread_join(thread, nullptr);
    }
    struct sigaction action {};
    action.sa_handler = [](int) { in_handler(); };
    sigaction(SIGUSR1, &action, nullptr);
    raise(SIGUSR1);
    puts("done");
    return 0;
}
