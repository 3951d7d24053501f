#include "preload/hook/size_classes.h"

#include <stddef.h>

#include "preload/hook/allocator.h"

namespace offheap::hook {

using wire::SizeRounding;

namespace {

using Nallocx = size_t(size_t bytes, int flags);
using GoodSize = size_t(size_t bytes);

// Larger blocks than addresses allow: there the functions answer as they like.
constexpr uint64_t kMostBytes = 1ULL << 46;

SizeRounding found = SizeRounding::kNothing;
uint64_t function;

uint64_t rounded(uint64_t bytes) {
    if (found == SizeRounding::kNallocx) return reinterpret_cast<Nallocx*>(function)(bytes, 0);
    return reinterpret_cast<GoodSize*>(function)(bytes);
}

}  // namespace

void find_size_classes() {
    function = find_allocators_own("nallocx");
    found = function != 0 ? SizeRounding::kNallocx : SizeRounding::kNothing;
    if (function != 0) return;
    function = find_allocators_own("mi_good_size");
    if (function != 0) found = SizeRounding::kMimallocGoodSize;
}

SizeRounding size_rounding() { return found; }

uint32_t read_size_classes(uint64_t bytes, uint64_t* values, uint32_t most) {
    if (found == SizeRounding::kNothing) return 0;
    uint32_t count = 0;
    while (count < most && bytes < kMostBytes) {
        const uint64_t size = rounded(bytes);
        if (size < bytes) break;
        values[count++] = size;
        bytes = size + 1;
    }
    return count;
}

}  // namespace offheap::hook
