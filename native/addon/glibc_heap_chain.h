// A chain of glibc's malloc chunks: from header to header through one heap.
#pragma once

#include <stdint.h>

#include <vector>

#include "native/addon/address_range.h"
#include "native/addon/asked_blocks.h"
#include "native/addon/glibc_heap_headers.h"
#include "native/addon/target_memory.h"

namespace offheap::addon {

// What a heap consists of. `in_use + free + top + metadata + foreign` is its extent, to the byte.
struct HeapFigures {
    uint64_t chunks = 0;  // without the top
    uint64_t in_use_chunks = 0;
    // What the program may use of chunks in use. Those that wait in a thread's cache or in a fastbin count as
    // well: no header tells them apart.
    uint64_t in_use_bytes = 0;
    uint64_t free_bytes = 0;      // in bins, with their headers
    uint64_t top_bytes = 0;       // never handed out, or given back to the end
    uint64_t metadata_bytes = 0;  // headers of chunks in use, of the heap and its arena, fenceposts
    uint64_t foreign_bytes = 0;   // others' sbrk between glibc's
    // Of chunks in use, those that are recorded blocks: what was asked for, and what the chunk has beyond
    // that. Weights are applied. Together they are the part of `in_use_bytes` that is recorded.
    double asked_blocks = 0;
    double asked_bytes = 0;
    double slack_bytes = 0;
    double slack_resident_bytes = 0;  // on pages in memory
    double slack_variance = 0;        // square of the standard error of slack_bytes
    // Whole pages of free memory, in address order; what malloc_trim would return of a free chunk. The top's
    // are last.
    std::vector<AddressRange> retained;
};

// Counts a chunk in use among those that were asked for, if it is: its block and what the program may use of
// it. `has_next`: the header of a chunk follows.
void count_asked(TargetMemory& memory, const AskedBlocks& asked, AddressRange usable, bool has_next,
                 HeapFigures& figures);

// Walks from the chunk at `first` to where the heap ends. `figures` grow by what is found; false where the
// chain does not close at `end`: the memory is not a heap, or the program changed it meanwhile, more often
// than the walk starts anew. Then `figures` stay as they were. `asked` may be null.
bool walk_chain(TargetMemory& memory, uint64_t first, uint64_t end, const AskedBlocks* asked,
                HeapFigures& figures);

// Whether the first chunk of a heap may stand here: its own header is sound, whatever follows.
bool may_be_first_chunk(TargetMemory& memory, uint64_t address, uint64_t end);

// The first address from `from` on, below `limit`, where a chain begins that looks sound for some chunks;
// `end` where there is none.
uint64_t find_chain(TargetMemory& memory, uint64_t from, uint64_t limit, uint64_t end);

}  // namespace offheap::addon
