// The line of an instruction, from a function's table of lines as each version packs it.
#pragma once

#include <stdint.h>

#include "preload/python/structures.h"

namespace offheap::python {

// `instruction` is the offset of an instruction in bytes, negative before the first one. 0 where the table
// gives it no line.
uint32_t line_at(LineTable table, const uint8_t* bytes, uint64_t count, uint32_t first_line,
                 int64_t instruction);

}  // namespace offheap::python
