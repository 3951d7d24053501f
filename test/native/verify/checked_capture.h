#pragma once

#include <stdint.h>

namespace offheap::verify {

// Captures the caller's stack incrementally, as the shim does for each allocation, and every so many times
// compares it with a whole walk and with libunwind.
void capture_here();

// To be called when memory was unmapped or protected: what was known to be readable may not be any more.
void forget_windows();

}  // namespace offheap::verify
