#pragma once

#include <stdint.h>

namespace offheap::addon {

// Bytes [start, end).
struct AddressRange {
    uint64_t start, end;
};

}  // namespace offheap::addon
