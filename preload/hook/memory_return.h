// The allocator's function that gives free memory back to the kernel.
#pragma once

#include <stdint.h>

#include "native/wire/layout.h"

namespace offheap::hook {

// Looks for it, behind find_allocator() and as that.
void find_memory_return();

// MemoryReturn::kNothing where the allocator has none.
wire::MemoryReturn memory_return();

// Calls it; what it said. It takes the allocator's locks.
uint64_t return_memory();

}  // namespace offheap::hook
