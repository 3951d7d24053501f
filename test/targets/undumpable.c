// undumpable: a process that the kernel lets nobody but the superuser examine, as a program with capabilities
// is. Holds 4 MiB, says READY and waits for the end of its input.
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { kBytes = 4 << 20 };

int main(void) {
    char* block = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) return 1;
    memset(block, 1, kBytes);
    if (prctl(PR_SET_DUMPABLE, 0) != 0) return 1;
    printf("READY %d\n", getpid());
    fflush(stdout);
    while (getchar() != EOF) {
    }
    return 0;
}
