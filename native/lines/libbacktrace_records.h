// Records of libbacktrace's dwarf.c, as it has them since it knows of inlined calls.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace offheap::lines::inlined_calls {

struct Range;

struct Function {
    const char* name;
    const char* caller_file;
    int caller_line;
    Range* calls;
    size_t call_count;
};

// The addresses of a call that was inlined.
struct Range {
    uint64_t low;
    uint64_t high;
    Function* function;
};

}  // namespace offheap::lines::inlined_calls
