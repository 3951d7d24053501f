// libverify.so, for LD_PRELOAD without the shim: every allocation of the program is an occasion to capture.
// OFFHEAP_CHECKS=FOLDER is where the tally goes, OFFHEAP_CHECK_EVERY=N which captures are checked.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "preload/unwind/capture.h"
#include "test/native/verify/checked_capture.h"
#include "test/native/verify/libunwind.h"
#include "test/native/verify/tally.h"

namespace offheap::verify {

Tally* tally;
uint32_t check_every;

namespace {

int (*next_dlclose)(void*);

__attribute__((constructor)) void start() {
    next_dlclose = reinterpret_cast<int (*)(void*)>(dlsym(RTLD_NEXT, "dlclose"));
    const char* folder = getenv("OFFHEAP_CHECKS");
    const char* every = getenv("OFFHEAP_CHECK_EVERY");
    if (folder == nullptr || every == nullptr) return;
    check_every = static_cast<uint32_t>(atoi(every));
    if (!load_libunwind()) abort();
    char path[4096];
    snprintf(path, sizeof path, "%s/%d", folder, static_cast<int>(getpid()));
    const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, sizeof(Tally)) != 0) abort();
    void* memory = mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED) abort();
    close(file);
    tally = static_cast<Tally*>(memory);
}

}  // namespace
}  // namespace offheap::verify

using offheap::verify::capture_here;

#define OFFHEAP_EXPORT extern "C" __attribute__((visibility("default")))
// Keeps a call from becoming a jump and its frame from being left out.
#define OFFHEAP_AFTER_CALL() __asm__ volatile("" ::: "memory")

// glibc's allocator under the names that nobody interposes.
extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* block, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);
}

OFFHEAP_EXPORT void* malloc(size_t bytes) {
    capture_here();
    OFFHEAP_AFTER_CALL();
    return __libc_malloc(bytes);
}

OFFHEAP_EXPORT void* calloc(size_t count, size_t bytes) {
    capture_here();
    OFFHEAP_AFTER_CALL();
    return __libc_calloc(count, bytes);
}

OFFHEAP_EXPORT void* realloc(void* block, size_t bytes) {
    capture_here();
    OFFHEAP_AFTER_CALL();
    return __libc_realloc(block, bytes);
}

OFFHEAP_EXPORT void* memalign(size_t alignment, size_t bytes) {
    capture_here();
    OFFHEAP_AFTER_CALL();
    return __libc_memalign(alignment, bytes);
}

OFFHEAP_EXPORT int munmap(void* address, size_t bytes) {
    offheap::verify::forget_windows();
    return static_cast<int>(syscall(SYS_munmap, address, bytes));
}

OFFHEAP_EXPORT int mprotect(void* address, size_t bytes, int protection) {
    offheap::verify::forget_windows();
    return static_cast<int>(syscall(SYS_mprotect, address, bytes, protection));
}

OFFHEAP_EXPORT int dlclose(void* library) {
    const int result = offheap::verify::next_dlclose(library);
    // Its addresses may be used again.
    offheap::unwind::invalidate_all();
    return result;
}
