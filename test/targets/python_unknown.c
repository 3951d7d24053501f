// Exports what an interpreter of a version to come would, and waits.
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

__attribute__((visibility("default"))) unsigned long _PyRuntime[64] = {0x7970677562656478UL, 0x03630000};
__attribute__((visibility("default"))) const unsigned long Py_Version = 0x03630000;
__attribute__((visibility("default"))) unsigned long PyCode_Type[4];

int main(void) {
    if (mmap(NULL, 300 << 12, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) abort();
    printf("READY\n");
    fflush(stdout);
    return getchar() == EOF;
}
