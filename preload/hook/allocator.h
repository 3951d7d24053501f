// The allocator that the target would use without us: for each of malloc's functions, the first definition in
// the order in which the loader searches.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace offheap::hook {

// X(result, name, parameters, arguments)
#define OFFHEAP_ALLOCATOR_FUNCTIONS(X)                                                                \
    X(void*, malloc, (size_t bytes), (bytes))                                                         \
    X(void*, calloc, (size_t count, size_t bytes), (count, bytes))                                    \
    X(void*, realloc, (void* block, size_t bytes), (block, bytes))                                    \
    X(void*, reallocarray, (void* block, size_t count, size_t bytes), (block, count, bytes))          \
    X(int, posix_memalign, (void** block, size_t alignment, size_t bytes), (block, alignment, bytes)) \
    X(void*, aligned_alloc, (size_t alignment, size_t bytes), (alignment, bytes))                     \
    X(void*, memalign, (size_t alignment, size_t bytes), (alignment, bytes))                          \
    X(void*, valloc, (size_t bytes), (bytes))                                                         \
    X(void*, pvalloc, (size_t bytes), (bytes))                                                        \
    X(void, free, (void* block), (block))                                                             \
    X(void, cfree, (void* block), (block))                                                            \
    X(void, free_sized, (void* block, size_t bytes), (block, bytes))                                  \
    X(void, free_aligned_sized, (void* block, size_t alignment, size_t bytes), (block, alignment, bytes))

struct Allocator {
#define OFFHEAP_POINTER(result, name, parameters, arguments) result(*name) parameters;
    OFFHEAP_ALLOCATOR_FUNCTIONS(OFFHEAP_POINTER)
#undef OFFHEAP_POINTER
};

// Usable from the first instruction on: calls that come before our constructor look the functions up.
extern __attribute__((visibility("hidden"))) Allocator allocator;

// Looks the functions up, once. Without dlsym, which may allocate and takes the loader's lock: to be called
// while the process has one thread.
void find_allocator();

// Whether another malloc comes before ours in the search order. Calls reach us by the import tables only
// then.
bool is_bypassed();

// Whether imports have to be redirected: to us where we are bypassed, or the allocator brings C++ operators
// of its own, which don't call malloc by its name; past us where the allocator calls itself by name.
bool redirects_allocations();

// A function that the allocator's own module exports, 0 where it has none of that name. As find_allocator().
uint64_t find_allocators_own(const char* name);

// Whether code is part of the allocator, as far as can be told: its functions, and all of its module where
// that is a library of its own.
bool is_allocators(uint64_t address);

// Redirects the imports of the module at `base` that are bound to the allocator past us, or the allocator's
// own that are bound to us. The loader must have bound and protected them.
void redirect_allocations(uint64_t base);

}  // namespace offheap::hook
