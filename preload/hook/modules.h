// The executable files mapped in this process, as far as the hook needs them: where rewritable code lies, and
// when the load generation must rise.
#pragma once

#include <stdint.h>

#include "preload/record/seeds.h"

namespace offheap::hook {

struct Module {
    uint64_t base;  // where offset 0 of the file is mapped; 0 when unknown
    uint64_t code_start, code_end;
    char name[64];  // base name of the file
};

inline constexpr uint32_t kMaxStartModules = 512;

// The modules of the maps lines, in address order. Returns their number; stops at kMaxStartModules.
uint32_t read_modules(Module* modules);

// In a forked child: what another thread of the parent was just changing is read anew.
void restore_modules_after_fork();

// Keeps track of executable files from the stream of calls; `file` mappings only.
void code_mapped(uint64_t start, uint64_t bytes);
// What is unmapped or overmapped; raises the generation when code goes away.
void range_released(uint64_t start, uint64_t bytes);

}  // namespace offheap::hook
