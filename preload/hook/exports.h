// A module's exported functions, looked up in its own hash table: dlsym may allocate and take the loader's
// lock.
#pragma once

#include <stdint.h>

namespace offheap::hook {

struct Module;
struct ElfImage;

struct Extent {
    uint64_t start = 0, end = 0;
};

// The code of an exported function; empty when the module doesn't export it.
Extent find_export(const Module& module, const char* name);
Extent find_export(const ElfImage& image, const char* name);

}  // namespace offheap::hook
