// Python's functions, described in the stack tree: one node for one description.
#pragma once

#include <stdint.h>

#include "preload/record/channel.h"

namespace offheap::record {

// The node of a function of a file, for keys of kind wire::kKeyPython; 0 when there is no room, or no name.
uint32_t intern_python_code(Channel& channel, Text file, Text function, uint32_t first_line);

}  // namespace offheap::record
