// raw_clone: processes and threads that libc knows nothing of: clone as fork, and CLONE_VM without
// CLONE_SETTLS, so that the child runs on the thread pointer of its parent.
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kStackBytes = 256 << 10, kBytes = 128 << 10, kRounds = 50 };

static void* map_block(size_t bytes) {
    void* block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) abort();
    *(char*)block = 1;
    return block;
}

static int churn(void* unused) {
    (void)unused;
    for (int i = 0; i < kRounds; ++i) {
        if (munmap(map_block(kBytes), kBytes) != 0) abort();
    }
    return 0;
}

static void await_child(pid_t pid) {
    int status = 0;
    if (waitpid(pid, &status, __WALL) != pid || status != 0) abort();
}

int main(void) {
    const pid_t forked = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (forked == 0) {
        churn(NULL);
        _exit(0);
    }
    await_child(forked);

    // Shares the memory; the parent waits, since both use one thread pointer and so one errno.
    char* stack = map_block(kStackBytes);
    await_child(clone(churn, stack + kStackBytes, CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, NULL));
    await_child(
        clone(churn, stack + kStackBytes, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | SIGCHLD, NULL));
    // Not sharing: a fork with a stack of its own.
    await_child(clone(churn, stack + kStackBytes, SIGCHLD, NULL));
    churn(NULL);
    printf("READY\n");
    return 0;
}
