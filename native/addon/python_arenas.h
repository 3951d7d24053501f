// CPython's small-object allocator (obmalloc) in another process, read from outside: no symbols, no stop.
//
// An arena is cut into pools, which begin at multiples of their size; each begins with a header that tells
// the size of its blocks and how many of them are in use. Pools have 4 KiB up to CPython 3.9, 16 KiB since.
#pragma once

#include <stdint.h>

#include <vector>

#include "native/addon/address_range.h"
#include "native/addon/target_memory.h"

namespace offheap::addon {

struct PythonFigures {
    uint64_t pool_bytes = 0;  // the size of a pool; 0 where none was found
    uint64_t pools_in_use = 0;
    uint64_t blocks = 0;       // handed out
    uint64_t block_bytes = 0;  // theirs, resident or not

    // Resident bytes; together they are all of the ranges'.
    uint64_t live = 0;      // blocks that are handed out
    uint64_t retained = 0;  // pools that hold no block, and pages of others that never held one
    uint64_t slack = 0;  // free beside blocks in use, and what is left over at the ends of pools and arenas
    uint64_t metadata = 0;  // headers
    uint64_t frames = 0;    // evaluation stacks (since CPython 3.11), which come from the same source
    uint64_t unread = 0;    // what is neither, and pools whose header is in swap
};

// Reads what arenas lie in ranges that are page-aligned and apart from one another. A header that does not
// fit together was being written: it is read again, some times.
PythonFigures read_python_arenas(TargetMemory& memory, const std::vector<AddressRange>& ranges);

}  // namespace offheap::addon
