// glibc's heaps as JavaScript sees them; the other side is src/account/allocators/glibc.ts.
#pragma once

#include <napi.h>

#include "native/addon/asked_blocks.h"

namespace offheap::addon {

// glibcHeaps(pid, mainRanges, anonymousRanges) → { heaps, retained, unread }. Ranges are [start, end, …];
// `heaps` has seventeen numbers for each heap, `retained` its whole free pages, in the heaps' order.
Napi::Value glibc_heaps(const Napi::CallbackInfo& info);

// Whether a call has such arguments; and the same with what blocks were asked for, which may be null.
bool are_glibc_arguments(const Napi::CallbackInfo& info);
Napi::Value glibc_heaps_asked(const Napi::CallbackInfo& info, const AskedBlocks* asked);

}  // namespace offheap::addon
