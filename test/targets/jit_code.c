// An engine in small: makes code while it runs and tells its names in /tmp/perf-PID.map, as it is told on
// stdin.
//   tell OFFSET BYTES NAME   appends a line about code at OFFSET of the page of code
//   raw TEXT                 appends TEXT as it is
//   anew                     empties the perf map
//   call BYTES               maps BYTES below the function at 0, which keeps the frame pointer
//   lost BYTES               maps BYTES below the function at 0x100, which spoils it
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { kLost = 0x100 };

// push rbp; mov rbp, rsp; call rdi; pop rbp; ret
static const unsigned char kFunction[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
// push rbp; mov ebp, 1; call rdi; pop rbp; ret
static const unsigned char kLostFunction[] = {0x55, 0xbd, 1, 0, 0, 0, 0xff, 0xd7, 0x5d, 0xc3};

static size_t wanted;

__attribute__((noinline)) static void map_block(void) {
    if (mmap(NULL, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) exit(3);
}

int main(void) {
    unsigned char* code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED) return 3;
    memcpy(code, kFunction, sizeof kFunction);
    memcpy(code + kLost, kLostFunction, sizeof kLostFunction);
    if (mprotect(code, 4096, PROT_READ | PROT_EXEC) != 0) return 3;

    char path[64];
    snprintf(path, sizeof path, "/tmp/perf-%d.map", getpid());
    FILE* names = fopen(path, "w");
    if (names == NULL) return 3;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("READY %d\n", getpid());

    char line[8192];
    while (fgets(line, sizeof line, stdin) != NULL) {
        unsigned long offset, bytes;
        int name_at = 0;
        if (sscanf(line, "tell %lx %lx %n", &offset, &bytes, &name_at) == 2 && name_at > 0) {
            fprintf(names, "%lx %lx %s", (unsigned long)code + offset, bytes, line + name_at);
        } else if (strncmp(line, "raw ", 4) == 0) {
            fputs(line + 4, names);
        } else if (strcmp(line, "anew\n") == 0) {
            names = freopen(path, "w", names);
            if (names == NULL) return 3;
        } else if (sscanf(line, "call %zu", &wanted) == 1) {
            ((void (*)(void (*)(void)))code)(map_block);
        } else if (sscanf(line, "lost %zu", &wanted) == 1) {
            ((void (*)(void (*)(void)))(code + kLost))(map_block);
        }
        fflush(names);
        puts("done");
    }
    unlink(path);
    return 0;
}
