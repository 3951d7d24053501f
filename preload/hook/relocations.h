// The fallback where system-call instructions may not be rewritten: the import tables of the modules loaded
// at the start are pointed at functions of ours. Calls that libc makes for itself, and those of modules
// loaded later, stay unseen.
#pragma once

#include <stdint.h>

namespace offheap::hook {

struct Module;

// Redirects the imports of operations whose site in libc was not rewritten, so that no call is counted twice.
// Returns the number of redirected slots. Call once, at the start.
uint32_t redirect_imports(const Module* modules, uint32_t count);

}  // namespace offheap::hook
