// Compares whole walks with two other unwinders, libunwind and libgcc's _Unwind_Backtrace, and incremental
// captures with whole walks.
#pragma once

#include <stdint.h>

#include <string>

namespace offheap::unwind::oracles {

// What all comparisons of this process came to.
struct Tally {
    uint64_t captures = 0;
    uint64_t frames = 0;
    uint64_t deepest = 0;
    uint64_t mismatches = 0;
    uint64_t incremental_captures = 0;
    uint64_t incremental_frames = 0;
    uint64_t unchanged_frames = 0;
    std::string first_mismatch;
};
Tally tally();

// Captures the caller's stack in all four ways and counts a mismatch if they differ. Callable in signal
// handlers that were raised synchronously.
void compare_here();

// Captures incrementally and by a whole walk, and counts a mismatch if they differ: fast enough for a
// million.
void compare_walks_here();

// As `compare_here`, on a stack where libunwind runs past the first function of a coroutine.
void compare_in_coroutine();

}  // namespace offheap::unwind::oracles
