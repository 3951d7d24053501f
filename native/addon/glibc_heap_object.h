// glibc's heaps as JavaScript sees them; the other side is src/account/allocators/glibc.ts.
#pragma once

#include <napi.h>

namespace offheap::addon {

// glibcHeaps(pid, mainRanges, anonymousRanges) → { heaps, retained, unread }. Ranges are [start, end, …];
// `heaps` has twelve numbers for each heap, `retained` its whole free pages, in the heaps' order.
Napi::Value glibc_heaps(const Napi::CallbackInfo& info);

}  // namespace offheap::addon
