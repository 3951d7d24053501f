// Which addresses belong to one function each, as .eh_frame tells it: strip leaves that section alone.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <span>
#include <vector>

#include "native/addon/address_range.h"

namespace offheap::addon {

// The functions of an .eh_frame section that lies at virtual `address`, in the section's order. The bytes are
// anybody's: entries that make no sense are left out, and the first one without a sound length ends it.
std::vector<AddressRange> unwind_ranges(std::span<const uint8_t> section, uint64_t address);

}  // namespace offheap::addon
