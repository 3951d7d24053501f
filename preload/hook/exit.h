// The process's end in order: its last words in the channel.
#pragma once

#include <stdint.h>

namespace offheap::hook {

// Called when the process asks the kernel to end it.
void note_exit(uint32_t status);

}  // namespace offheap::hook
