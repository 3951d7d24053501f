// The sizes in which the allocator hands out blocks.
#pragma once

#include <stdint.h>

#include "native/wire/layout.h"

namespace offheap::hook {

// Looks for its function, behind find_allocator() and as that.
void find_size_classes();

// kNothing where the allocator has no such function.
wire::SizeRounding size_rounding();

// Fills in the sizes that blocks of `bytes` and more have, as many as there is room for, in rising order; the
// function computes them and looks at no block. Returns how many there are.
uint32_t read_size_classes(uint64_t bytes, uint64_t* values, uint32_t most);

}  // namespace offheap::hook
