// restored_site: puts the system-call instruction back into libc's mmap, as a tool does that undoes hooks by
// what stands in the file.
//
// Reads lines `BYTES`: maps and writes so much by mmap, and answers `mapped ADDRESS`. The first line undoes
// the hook.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { kLongestFunction = 256 };

// `mov $9, %eax` with what follows it: `syscall`, or a short jump where that was rewritten.
static unsigned char* find_site(void) {
    unsigned char* code = dlsym(RTLD_DEFAULT, "mmap");
    for (int i = 0; code != NULL && i < kLongestFunction; ++i) {
        if (memcmp(code + i, "\xb8\x09\x00\x00\x00\xeb", 6) == 0) return code + i + 5;
    }
    return NULL;
}

static int restore(unsigned char* site) {
    unsigned char* page = (unsigned char*)((uintptr_t)site & ~(uintptr_t)4095);
    if (mprotect(page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) return -1;
    memcpy(site, "\x0f\x05", 2);
    return mprotect(page, 8192, PROT_READ | PROT_EXEC);
}

int main(void) {
    unsigned char* site = find_site();
    printf("READY %d\n", getpid());
    fflush(stdout);
    long bytes;
    while (scanf("%ld", &bytes) == 1) {
        if (site != NULL && restore(site) != 0) return 1;
        site = NULL;
        char* block = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED) return 1;
        memset(block, 1, (size_t)bytes);
        printf("mapped %p\n", (void*)block);
        fflush(stdout);
    }
    return 0;
}
