// heap_holder
//
// Allocates as it is told, a line each on its standard input, and answers each with a line:
//   keep COUNT BYTES    COUNT blocks, kept
//   drop COUNT          free the blocks kept last
//   churn COUNT BYTES   allocate and free, COUNT times
//   thread COUNT BYTES  as keep, on a thread that ends then
//   fork COUNT BYTES    a child frees the block kept last, keeps COUNT blocks, and waits for the end of its
//   input exec                become the program anew exit STATUS         end without freeing anything; so
//   does the end of the input, with status 0
// Nothing else in it allocates.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { kMostBlocks = 1 << 20 };

static void* blocks[kMostBlocks];
static long block_count;
static long wanted_count;
static long wanted_bytes;

__attribute__((noinline)) static void keep_blocks(long count, long bytes) {
    for (long i = 0; i < count; ++i) {
        if (block_count == kMostBlocks) abort();
        void* block = malloc((size_t)bytes);
        if (block == NULL) abort();
        blocks[block_count++] = block;
    }
}

__attribute__((noinline)) static void drop_blocks(long count) {
    if (block_count < count) abort();
    for (long i = 0; i < count; ++i) free(blocks[--block_count]);
}

__attribute__((noinline)) static void churn_blocks(long count, long bytes) {
    for (long i = 0; i < count; ++i) {
        void* volatile block = malloc((size_t)bytes);
        free(block);
    }
}

static void* keep_on_thread(void* nothing) {
    keep_blocks(wanted_count, wanted_bytes);
    return nothing;
}

static void keep_by_thread(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, keep_on_thread, NULL) != 0) abort();
    pthread_join(thread, NULL);
}

static void keep_in_child(void) {
    if (fork() != 0) return;
    drop_blocks(1);
    keep_blocks(wanted_count, wanted_bytes);
    printf("child %d\n", getpid());
    // The input is the parent's: whoever is done with the child kills it.
    for (;;) pause();
}

int main(int argc, char** argv) {
    (void)argc;
    static char output[4096], input[4096];
    setvbuf(stdout, output, _IOLBF, sizeof output);
    setvbuf(stdin, input, _IOFBF, sizeof input);
    printf("READY %d\n", getpid());
    char line[256], command[16];
    while (fgets(line, sizeof line, stdin) != NULL) {
        wanted_count = wanted_bytes = 0;
        if (sscanf(line, "%15s %ld %ld", command, &wanted_count, &wanted_bytes) < 1) continue;
        if (strcmp(command, "keep") == 0)
            keep_blocks(wanted_count, wanted_bytes);
        else if (strcmp(command, "drop") == 0)
            drop_blocks(wanted_count);
        else if (strcmp(command, "churn") == 0)
            churn_blocks(wanted_count, wanted_bytes);
        else if (strcmp(command, "thread") == 0)
            keep_by_thread();
        else if (strcmp(command, "fork") == 0)
            keep_in_child();
        else if (strcmp(command, "exec") == 0)
            execv("/proc/self/exe", argv);
        else if (strcmp(command, "exit") == 0)
            return (int)wanted_count;
        else
            printf("unknown: %s", line);
        printf("done %s\n", command);
    }
    return 0;
}
