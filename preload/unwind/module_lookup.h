// Address → loaded module, without a lock.
#pragma once

#include <stdint.h>

#include "preload/unwind/byte_reader.h"

namespace offheap::unwind {

// A loaded ELF object. The addresses between its segments may be unmapped: read only inside
// `readable_segment`.
struct Module {
    Bytes range;
    const uint8_t* eh_frame_header;  // PT_GNU_EH_FRAME, or null
};

// False if no module covers the address (code of a JIT compiler).
bool find_module(uint64_t address, Module& module);

// The path of the module's file as the loader knows it, empty for the program; null if no module covers the
// address.
const char* module_path(uint64_t address);

// The module's readable PT_LOAD segment around an address; empty if there is none.
Bytes readable_segment(const Module& module, const uint8_t* address);

}  // namespace offheap::unwind
