// What the checks of a process and its children came to, in a file that test/support/heap-verify.ts reads.
#pragma once

#include <stdint.h>

namespace offheap::verify {

// In the order of heap-verify.ts.
struct Tally {
    uint64_t captures;
    uint64_t checked_by_walk;
    uint64_t walk_mismatches;
    uint64_t checked_by_libunwind;
    uint64_t libunwind_mismatches;
    uint64_t frames;            // of all captures
    uint64_t unchanged_frames;  // of these, kept from the thread's last capture
    uint64_t compared_frames;   // with libunwind's
    uint64_t incomplete;        // checked captures that did not reach the end of their stack
    uint64_t too_deep;          // captures left unchecked
    char first_mismatch[4016];
};
static_assert(sizeof(Tally) == 4096);

// Null while nothing is to be checked.
extern Tally* tally;
extern uint32_t check_every;

}  // namespace offheap::verify
