// Runs a function's call frame instructions up to an address.
#pragma once

#include "preload/unwind/eh_frame.h"
#include "preload/unwind/unwind_row.h"

namespace offheap::unwind {

// The row in force at `address`. False if the program is damaged or uses what no compiler for x86-64 writes.
bool run_program(const FrameDescription& description, uint64_t address, Row& row);

}  // namespace offheap::unwind
