// malloc_heavy ROUNDS: small allocations that glibc serves from what it has, so hardly any of them reaches
// the kernel.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { kSlots = 4096, kLargestBytes = 2000 };

int main(int argc, char** argv) {
    static char* blocks[kSlots];
    uint32_t random = 1;
    for (long left = argc > 1 ? atol(argv[1]) : 1000000; left > 0; --left) {
        random = random * 1664525u + 1013904223u;
        char** slot = &blocks[random >> 20];
        free(*slot);
        const size_t bytes = 16 + (random >> 8) % kLargestBytes;
        *slot = malloc(bytes);
        if (*slot == NULL) return 1;
        memset(*slot, 1, bytes);
    }
    return 0;
}
