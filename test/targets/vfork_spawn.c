// vfork_spawn ROUNDS: children by vfork, posix_spawn and system(), which borrow the parent's memory until
// they exec.
//
// The vfork child maps memory, in the parent's address space: the mapping is the parent's after the child has
// gone.
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;
enum { kBytes = 256 << 10 };

static void* volatile mapped_by_child;

static void await_child(pid_t pid) {
    int status = 0;
    if (waitpid(pid, &status, 0) != pid || status != 0) abort();
}

int main(int argc, char** argv) {
    const int rounds = argc > 1 ? atoi(argv[1]) : 20;
    char* arguments[] = {"true", NULL};
    for (volatile int i = 0; i < rounds; ++i) {
        pid_t pid = vfork();
        if (pid == 0) {
            mapped_by_child = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            execve("/bin/true", arguments, environ);
            _exit(127);
        }
        await_child(pid);
        *(char*)mapped_by_child = 1;
        if (i + 1 < rounds && munmap(mapped_by_child, kBytes) != 0) abort();

        if (posix_spawn(&pid, "/bin/true", NULL, NULL, arguments, environ) != 0) abort();
        await_child(pid);

        pid = vfork();
        if (pid == 0) {
            execve("/nonexistent", arguments, environ);
            _exit(0);
        }
        await_child(pid);
    }
    if (system("true") != 0) abort();
    printf("kept %p %d\nREADY\n", mapped_by_child, kBytes);
    return 0;
}
