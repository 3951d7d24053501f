// Finds the frame description that covers an address, through .eh_frame_hdr's binary search table.
#pragma once

#include <stdint.h>

#include "preload/unwind/byte_reader.h"
#include "preload/unwind/module_lookup.h"

namespace offheap::unwind {

// A function's frame description (FDE) joined with what it shares with others (CIE).
struct FrameDescription {
    uint64_t function;      // its first address
    uint64_t function_end;  // behind its last one
    Bytes common_program;
    Bytes program;
    uint32_t code_alignment;
    int32_t data_alignment;
    uint8_t return_column;
    bool is_signal_frame;  // its caller was interrupted: that address is exact
};

// Tolerant: a table that is missing, damaged or of an unknown kind describes nothing.
bool find_frame_description(const Module& module, uint64_t address, FrameDescription& description);

}  // namespace offheap::unwind
