// A module's import slots: the words through which it calls and refers to other modules' functions.
#pragma once

#include <stdint.h>

namespace offheap::hook {

struct Import {
    const char* name;
    uint64_t* slot;
    bool is_protected;  // the loader made it read-only once it was filled in
    bool is_lazy;       // not bound yet: the word leads back into the module's linkage table
};

// What becomes of an import: the value to store, 0: leave it.
using Replace = uint64_t (*)(const Import& import, void* context);

// Offers each import of the module at `base` to `replace`. Returns how many were replaced.
uint32_t replace_imports(uint64_t base, Replace replace, void* context);

}  // namespace offheap::hook
