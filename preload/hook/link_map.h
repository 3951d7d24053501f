// The loader's list of modules, in the order in which it searches them for symbols.
#pragma once

#include <stdint.h>

#include "preload/hook/elf_image.h"

namespace offheap::hook {

// As in <link.h>: the part of it that debuggers rely on.
struct LinkedModule {
    uint64_t bias;
    const char* name;
    const Elf64_Dyn* dynamic;
    const LinkedModule* next;
    const LinkedModule* previous;
};

// Those of the start; to be walked while the process has one thread. libc alone where the program has no
// DT_DEBUG entry.
const LinkedModule* linked_modules();

}  // namespace offheap::hook
