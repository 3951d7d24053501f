// One private page that the kernel hands to every forked child as zeros (MADV_WIPEONFORK), also after a raw
// clone that no fork handler sees: a child that finds its page empty knows that it is new and must not use
// its parent's channel.
#pragma once

#include <stdint.h>

namespace offheap::runtime {

enum : uint32_t { kPageFresh = 0, kPageStarting = 1, kPageRecording = 2, kPageOff = 3 };

struct ProcessPage {
    uint32_t state;  // kPageFresh in a new child, by the kernel's doing
    uint32_t process_id;
    // The channel's heap_control; null unless the state is kPageRecording.
    const uint64_t* heap_control;
};

// In the place of a page that there is none of.
inline constinit ProcessPage no_process_page = {kPageOff, 0, nullptr};

// Creates the page; nullptr when the kernel refuses, and then nothing is recorded.
ProcessPage* create_process_page();

}  // namespace offheap::runtime
