// What the kernel says of a process's memory, for JavaScript.
#pragma once

#include <napi.h>

namespace offheap::addon {

// residency(pid, [start, end, …], readEntries?) → [residentBytes, swapBytes, …], a pair for each range, in
// any order.
Napi::Value residency(const Napi::CallbackInfo& info);

// pageBytes(pid, [start, end, …], readEntries?) → { bytes, betweenBytes }: [anonymous, file, swap, huge, …]
// for ranges by address, apart from one another.
Napi::Value page_bytes(const Napi::CallbackInfo& info);

// mappings(pid) → columns of the process's mappings, or null where the kernel must be asked by text.
Napi::Value mappings(const Napi::CallbackInfo& info);

}  // namespace offheap::addon
