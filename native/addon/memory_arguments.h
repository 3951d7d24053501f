// What functions that read a process's memory take from JavaScript, and how they refuse.
#pragma once

#include <napi.h>

#include <vector>

#include "native/addon/address_range.h"
#include "native/addon/target_memory.h"

namespace offheap::addon {

// Whether the value is a Float64Array.
bool is_numbers(const Napi::Value& value);

// `[start, end, …]`; what is no range is left out.
std::vector<AddressRange> ranges_of(const Napi::Value& value);

// The same sorted and apart from one another: what begins before the end of an earlier one is left out.
std::vector<AddressRange> sorted_ranges_of(const Napi::Value& value);

// Whole numbers from 1, each greater than the one before it; what is none is left out.
std::vector<uint64_t> rising_numbers(const Napi::Value& value);

// Throws, with the code PROCESS_MISSING or PROCESS_REFUSED, where the memory can't be read; true then.
bool refuse_unreadable(Napi::Env env, const ProcessMemory& memory, int process_id);

}  // namespace offheap::addon
