// The hash of a block's address. Its top bits depend on all of the address and are the ones to take.
#pragma once

#include <stdint.h>

namespace offheap::record {

inline uint64_t hash_address(uint64_t address) {
    return (address >> 4) * 0x9e3779b97f4a7c15ULL;  // blocks lie 16 bytes apart at least
}

}  // namespace offheap::record
