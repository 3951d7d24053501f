// ucx_leak LIBUCP ITERATIONS [reuse | hold | unhook | rehook]
//
// UCX's registration cache grows inside every munmap of the program that loaded it: register one buffer, then
// map, touch and unmap. No RDMA device is needed, nor UCX's headers: the few structures are declared here.
//
// With `reuse`, a second registration then drains the queue and the loop runs again: the pool's memory is
// used anew. With `hold` it waits for a line of input before the loop and after it. With `unhook` it goes on:
// puts back what stood at the entry of munmap before UCX came, runs the loop again, and waits once more. With
// `rehook` it puts a jump of its own there instead, as another hooker would that UCX does not know.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { kApiMajor = 1, kApiMinor = 13, kFeatureRma = 1 << 1 };
enum { kBufferBytes = 16 << 20, kChurnBytes = 64 << 10 };
enum { kJumpBytes = 5 };

// ucp_params_t and ucp_mem_map_params_t; a field that field_mask leaves out is not read, later versions
// append.
struct ucp_params {
    uint64_t field_mask, features;
    uint64_t unused[12];
};
struct ucp_mem_map_params {
    uint64_t field_mask;
    void* address;
    size_t length;
    unsigned flags, protection;
    uint64_t unused[8];
};

static int (*ucp_config_read)(const char*, const char*, void**);
static void (*ucp_config_release)(void*);
static int (*ucp_init_version)(unsigned, unsigned, const struct ucp_params*, void*, void**);
static int (*ucp_mem_map)(void*, const struct ucp_mem_map_params*, void**);
static void* context;

static void* resolve(void* library, const char* name) {
    void* symbol = dlsym(library, name);
    if (symbol == NULL) {
        fprintf(stderr, "ucx_leak: %s\n", dlerror());
        exit(1);
    }
    return symbol;
}

static void check(int status, const char* what) {
    if (status == 0) return;
    fprintf(stderr, "ucx_leak: %s failed with status %d\n", what, status);
    exit(1);
}

static void load_ucx(const char* path) {
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "ucx_leak: %s\n", dlerror());
        exit(1);
    }
    ucp_config_read = resolve(library, "ucp_config_read");
    ucp_config_release = resolve(library, "ucp_config_release");
    ucp_init_version = resolve(library, "ucp_init_version");
    ucp_mem_map = resolve(library, "ucp_mem_map");

    void* config = NULL;
    check(ucp_config_read(NULL, NULL, &config), "ucp_config_read");
    struct ucp_params parameters = {.field_mask = 1, .features = kFeatureRma};
    check(ucp_init_version(kApiMajor, kApiMinor, &parameters, config, &context), "ucp_init");
    ucp_config_release(config);
}

static void* register_memory(void* address, size_t bytes) {
    struct ucp_mem_map_params parameters = {.field_mask = 1 | 2, .address = address, .length = bytes};
    void* handle = NULL;
    check(ucp_mem_map(context, &parameters, &handle), "ucp_mem_map");
    return handle;
}

static void* new_buffer(void) {
    void* buffer = mmap(NULL, kBufferBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer == MAP_FAILED) abort();
    return memset(buffer, 1, kBufferBytes);
}

// Not inlined and with a use of munmap's result, so that it stands on the stack below munmap.
__attribute__((noinline)) static void churn_once(void) {
    char* block = mmap(NULL, kChurnBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) abort();
    block[0] = 1;
    if (munmap(block, kChurnBytes) != 0) abort();
}

struct resident {
    long total_kib, anonymous_kib;
};

static struct resident resident(void) {
    long pages = 0, shared_pages = 0;
    FILE* file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*s %ld %ld", &pages, &shared_pages) != 2) abort();
    fclose(file);
    return (struct resident){pages * 4, (pages - shared_pages) * 4};
}

static void report(const char* when) {
    const struct mallinfo2 heap = mallinfo2();
    const struct resident now = resident();
    printf("%s rss_kib=%ld anonymous_kib=%ld heap_bytes=%zu\n", when, now.total_kib, now.anonymous_kib,
           heap.uordblks + heap.hblkhd);
    fflush(stdout);
}

static void overwrite(unsigned char* code, const unsigned char* bytes) {
    void* page = (void*)((uintptr_t)code & ~(uintptr_t)4095);
    if (mprotect(page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) abort();
    memcpy(code, bytes, kJumpBytes);
    if (mprotect(page, 8192, PROT_READ | PROT_EXEC) != 0) abort();
}

static int (*munmap_itself)(void*, size_t);
static int another_hook(void* address, size_t bytes) { return munmap_itself(address, bytes); }

// A jump that is to stand at `at`.
static void make_jump(unsigned char* jump, const unsigned char* at, const unsigned char* to) {
    const int32_t distance = (int32_t)(to - (at + kJumpBytes));
    jump[0] = 0xe9;
    memcpy(jump + 1, &distance, sizeof distance);
}

// Near enough for a jump: on, to another_hook; and back, past what it stands on.
static void rehook(unsigned char* entry, const unsigned char* before) {
    // mov $11, %eax: an instruction of five bytes that may be moved.
    if (before[0] != 0xb8) abort();
    unsigned char* near = NULL;
    for (uintptr_t away = 1 << 26; near == NULL && away < 1u << 30; away += 1 << 20) {
        void* wanted = (void*)(((uintptr_t)entry - away) & ~(uintptr_t)4095);
        near = mmap(wanted, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
                    -1, 0);
        if (near == MAP_FAILED) near = NULL;
    }
    if (near == NULL) abort();
    memcpy(near, before, kJumpBytes);
    make_jump(near + kJumpBytes, near + kJumpBytes, entry + kJumpBytes);
    unsigned char* on = near + 16;
    memcpy(on, "\xff\x25\x00\x00\x00\x00", 6);  // jmp *0(%rip)
    int (*hook)(void*, size_t) = another_hook;
    memcpy(on + 6, &hook, sizeof hook);
    munmap_itself = (int (*)(void*, size_t))near;
    if (mprotect(near, 4096, PROT_READ | PROT_EXEC) != 0) abort();
    unsigned char jump[kJumpBytes];
    make_jump(jump, entry, on);
    overwrite(entry, jump);
}

static void wait_for_line(void) {
    int character;
    do character = getchar();
    while (character != '\n' && character != EOF);
}

int main(int argc, char** argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: ucx_leak LIBUCP ITERATIONS [reuse | hold | unhook | rehook]\n");
        return 2;
    }
    const long iterations = atol(argv[2]);
    const int reuse = argc > 3 && strcmp(argv[3], "reuse") == 0;
    const int unhook = argc > 3 && strcmp(argv[3], "unhook") == 0;
    const int hooks_again = argc > 3 && strcmp(argv[3], "rehook") == 0;
    const int hold = unhook || hooks_again || (argc > 3 && strcmp(argv[3], "hold") == 0);
    unsigned char* entry = resolve(RTLD_DEFAULT, "munmap");
    unsigned char before_ucx[kJumpBytes];
    memcpy(before_ucx, entry, kJumpBytes);
    load_ucx(argv[1]);
    register_memory(new_buffer(), kBufferBytes);

    printf("READY\n");
    report("before");
    if (hold) wait_for_line();
    for (long i = 0; i < iterations; ++i) churn_once();
    report("after");
    if (hold) wait_for_line();
    if (unhook || hooks_again) {
        if (hooks_again) {
            rehook(entry, before_ucx);
        } else {
            overwrite(entry, before_ucx);
        }
        for (long i = 0; i < iterations; ++i) churn_once();
        report("unhooked");
        wait_for_line();
    }

    if (reuse) {
        register_memory(new_buffer(), kBufferBytes);
        report("drained");
        for (long i = 0; i < iterations; ++i) churn_once();
        report("again");
    }
    return 0;
}
