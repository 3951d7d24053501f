// Finds the Python interpreter among the modules.
#pragma once

#include <stdint.h>

namespace offheap::hook {

// Whether a library that is loaded later may hold one, by its file's name.
bool may_hold_python(const char* name);

// Looks for an interpreter in the module at `base`, unless the configuration leaves its frames out. False
// where there is one of a version that isn't known.
bool look_for_python(uint64_t base);

}  // namespace offheap::hook
