// heap_fork: a parent allocates, forks, and both go on. The child frees what it has inherited and allocates
// of its own; another child is made by vfork and changes nothing.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kInherited = 100, kChilds = 70, kParents = 30 };

static void* blocks[kInherited];

__attribute__((noinline)) static void allocate_in_parent(int count) {
    for (int i = 0; i < count; ++i) blocks[i] = malloc(200);
}

__attribute__((noinline)) static void allocate_in_child(void) {
    for (int i = 0; i < kChilds; ++i) {
        void* volatile kept = malloc(300);
        (void)kept;
        void* volatile gone = malloc(301);
        free(gone);
    }
}

int main(void) {
    allocate_in_parent(kInherited);
    const pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < kInherited; ++i) free(blocks[i]);
        allocate_in_child();
        _exit(0);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || status != 0) return 1;
    const pid_t other = vfork();
    if (other == 0) _exit(0);
    waitpid(other, &status, 0);
    for (int i = 0; i < kInherited; ++i) free(blocks[i]);
    allocate_in_parent(kParents);
    printf("child %d\n", (int)child);
    return 0;
}
