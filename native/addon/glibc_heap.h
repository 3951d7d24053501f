// What glibc's malloc holds in another process, read from outside: no symbols, no stop, no call into it.
#pragma once

#include <stdint.h>

#include <vector>

#include "native/addon/glibc_heap_chain.h"

namespace offheap::addon {

enum class GlibcHeapKind : uint8_t {
    kMain,    // what the program break ends
    kArena,   // 64 MiB of addresses of an arena: as many of these as it needs
    kMapped,  // blocks with mappings of their own, one behind the other
};

struct GlibcHeap {
    GlibcHeapKind kind = GlibcHeapKind::kMain;
    AddressRange range = {};
    uint64_t arena = 0;  // address of the arena's state; 0 for the main one, and for mapped blocks
    HeapFigures figures;
};

struct GlibcHeaps {
    std::vector<GlibcHeap> heaps;
    // Heaps whose chain did not close: changed while they were read, damaged, or not glibc's.
    std::vector<AddressRange> unread;
};

// The heap that lies in [heap], whose end is the program break. `asked`, which may be null, knows what blocks
// were asked for.
void read_main_heap(TargetMemory& memory, AddressRange range, const AskedBlocks* asked, GlibcHeaps& result);

// Heaps of arenas, and mapped blocks, in private anonymous memory that is readable and writable; the kernel
// joins such mappings, so they may begin anywhere in `range`. What is neither is passed over.
void read_anonymous_heaps(TargetMemory& memory, AddressRange range, const AskedBlocks* asked,
                          GlibcHeaps& result);

}  // namespace offheap::addon
