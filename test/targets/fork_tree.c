// fork_tree: children that map, a grandchild, a child that unmaps what its parent had mapped, and one that
// execs.
//
// Each process prints `NAME pid=P maps=N unmaps=N`, its own calls after the fork. The parent ends last.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kBytes = 1 << 20 };

static int maps, unmaps;

static char* map_one(void) {
    char* block = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) abort();
    block[0] = 1;
    ++maps;
    return block;
}

static void unmap_one(char* block) {
    if (munmap(block, kBytes) != 0) abort();
    ++unmaps;
}

static void say(const char* name) {
    char line[128];
    const int n = snprintf(line, sizeof line, "%s pid=%d maps=%d unmaps=%d\n", name, getpid(), maps, unmaps);
    if (write(STDOUT_FILENO, line, (size_t)n) != n) abort();
}

static void await_child(pid_t pid) {
    int status = 0;
    if (waitpid(pid, &status, 0) != pid || status != 0) abort();
}

static pid_t fork_afresh(void) {
    const pid_t pid = fork();
    if (pid < 0) abort();
    if (pid == 0) maps = unmaps = 0;
    return pid;
}

static void child_that_maps(char* inherited) {
    for (int i = 0; i < 10; ++i) {
        char* block = map_one();
        if (i % 2) unmap_one(block);
    }
    const pid_t grandchild = fork_afresh();
    if (grandchild == 0) {
        unmap_one(inherited);
        for (int i = 0; i < 3; ++i) map_one();
        say("grandchild");
        _exit(0);
    }
    await_child(grandchild);
    say("child");
    _exit(0);
}

int main(int argc, char** argv) {
    if (argc > 1 && strcmp(argv[1], "execed") == 0) {
        map_one();
        say("execed");
        return 0;
    }
    char* blocks[4];
    for (int i = 0; i < 4; ++i) blocks[i] = map_one();

    pid_t pid = fork_afresh();
    if (pid == 0) child_that_maps(blocks[0]);
    await_child(pid);

    pid = fork_afresh();
    if (pid == 0) {
        map_one();
        say("execing");
        execl("/proc/self/exe", argv[0], "execed", (char*)NULL);
        _exit(127);
    }
    await_child(pid);

    unmap_one(blocks[3]);
    say("parent");
    printf("READY\n");
    return 0;
}
