// How a walk came to its end, for the next one to see whether it would again.
#pragma once

#include "preload/unwind/capture.h"

namespace offheap::unwind {

// What the end depends on, beside the root's registers and what its step read.
enum class EndedBy : uint8_t {
    rule,           // nothing else
    word,           // the root's caller, which is no address
    frame_pointer,  // the two words that the root's rbp points at
    memory,         // what could be read, or how the walk went: not to be known without walking
};

struct Ending {
    Stop stop = Stop::end_of_stack;
    EndedBy by = EndedBy::memory;
    bool is_thread_root = false;
    uint64_t caller_rsp = 0;  // where the root's step led
    uint64_t word = 0;
};

}  // namespace offheap::unwind
