// The part of a function that its compiler has moved away from it, since it runs rarely.
#pragma once

#include <stdint.h>

namespace offheap::python {

struct CodeRange {
    uint64_t start;
    uint64_t end;

    bool contains(uint64_t address) const { return address - start < end - start; }
};

// Such a part has unwind information of its own, and no name that stays when a program is stripped. What
// tells it are the function's jumps: they lead into its middle, where no other function is entered. Empty
// where there is none.
CodeRange find_cold_part(CodeRange function);

}  // namespace offheap::python
