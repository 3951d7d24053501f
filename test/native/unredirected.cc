// The tests keep the allocator that they have.
#include "preload/hook/allocator.h"

namespace offheap::hook {

bool redirects_allocations() { return false; }
void redirect_allocations(uint64_t) {}

}  // namespace offheap::hook
