// malloc and its like as the target calls them: the allocator's work, and a record of it.
#pragma once

#include <stdint.h>

#include "preload/hook/allocator.h"

// What the loader binds the target's calls to, under names that nothing can come before.
extern "C" {
#define OFFHEAP_HOOKED(result, name, parameters, arguments) \
    __attribute__((visibility("hidden"))) result offheap_##name parameters;
OFFHEAP_ALLOCATOR_FUNCTIONS(OFFHEAP_HOOKED)
#undef OFFHEAP_HOOKED
}

namespace offheap::hook {

union CxxOperator {
    void* (*as_new)(size_t bytes, uint64_t second, uint64_t third);
    void (*as_delete)(void* block, uint64_t second, uint64_t third);
    uint64_t address;
};

// A C++ operator new or delete, for allocators that bring their own.
struct HookedOperator {
    const char* name;
    CxxOperator hooked;
    CxxOperator original;  // the allocator's, once it is found
};

inline constexpr uint32_t kHookedOperators = 20;
extern HookedOperator hooked_operators[kHookedOperators];

}  // namespace offheap::hook
