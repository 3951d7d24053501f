// The disease: fragmentation. A burst of work leaves few small survivors among freed blocks; no pages between
// them go back to the kernel. Usage: heap_fragments [BLOCKS [alike]]
// With alike, the survivors are as large as the others, and stand among them by chance.
// Prints "ready PID", then obeys a line each on its standard input and answers it with one:
//   work     a request: allocates a little and frees it
//   later    the same, after a tenth of a second
//   idle     nothing
// Ends with its input.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Survivors of 48 bytes among blocks of 700 to 1900 bytes, one for every eight.
enum { kAlikeBytes = 1000, kSurvivorBytes = 48, kSmallest = 700, kSpread = 1200, kBlocksPerSurvivor = 8 };

static char output[4096], input[4096];

static void* filled(size_t bytes) {
    void* block = malloc(bytes);
    if (block == NULL) abort();
    memset(block, 1, bytes);
    return block;
}

static int alike;

static unsigned next_random(unsigned* state) {
    *state = *state * 1103515245u + 12345u;
    return *state >> 8;
}

__attribute__((noinline)) static void* keep_session(void) {
    void* block = filled(alike ? kAlikeBytes : kSurvivorBytes);
    __asm__ volatile("" ::: "memory");  // no jump in the place of the call
    return block;
}

__attribute__((noinline)) static void* build_response(unsigned* state) {
    void* block = filled(alike ? kAlikeBytes : kSmallest + next_random(state) % kSpread);
    __asm__ volatile("" ::: "memory");
    return block;
}

__attribute__((noinline)) static void serve_burst(void** sessions, void** responses, long blocks) {
    unsigned state = 1;
    for (long i = 0; i < blocks; ++i) {
        responses[i] = build_response(&state);
        const long survivor = i / kBlocksPerSurvivor;
        const int is_now = alike ? next_random(&state) % kBlocksPerSurvivor == 0 : i % kBlocksPerSurvivor == 0;
        if (is_now && sessions[survivor] == NULL) sessions[survivor] = keep_session();
    }
    for (long i = 0; i < blocks; ++i) free(responses[i]);
}

__attribute__((noinline)) static void work(void) {
    void* blocks[64];
    for (int i = 0; i < 64; ++i) blocks[i] = filled(100 + 10 * i);
    for (int i = 0; i < 64; ++i) free(blocks[i]);
}

int main(int argc, char** argv) {
    setvbuf(stdout, output, _IOLBF, sizeof output);
    setvbuf(stdin, input, _IOFBF, sizeof input);
    alike = argc > 2 && strcmp(argv[2], "alike") == 0;
    const long blocks = argc > 1 ? atol(argv[1]) : 60000;
    void** sessions = calloc((size_t)(blocks / kBlocksPerSurvivor + 1), sizeof(void*));
    void** responses = calloc((size_t)blocks, sizeof(void*));
    if (sessions == NULL || responses == NULL) abort();
    serve_burst(sessions, responses, blocks);
    free(responses);
    printf("ready %d\n", getpid());
    char line[64];
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (strcmp(line, "later\n") == 0) usleep(100000);
        if (strcmp(line, "work\n") == 0 || strcmp(line, "later\n") == 0) work();
        printf("done %s", line);
    }
    return sessions[0] == NULL;
}
