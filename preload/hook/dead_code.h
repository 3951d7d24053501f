// Where a module has padding that no execution reaches: room for a five-byte jump near a system-call
// instruction.
#pragma once

#include <stdint.h>

namespace offheap::hook {

struct Module;

// The extents of a module's functions as its .eh_frame_hdr tells them; empty when it has none.
class FunctionExtents {
  public:
    explicit FunctionExtents(const Module& module);

    bool available() const { return table_ != nullptr; }
    // True when [start, end) lies between two functions.
    bool in_gap(uint64_t start, uint64_t end) const;

  private:
    struct Entry {
        int32_t function, description;  // both relative to the header
    };
    uint64_t function_end(const Entry& entry) const;

    uint64_t header_ = 0;
    const Entry* table_ = nullptr;
    uint32_t count_ = 0;
};

// Whether the two-byte jump that replaces the instruction at `site` can reach `target`.
inline bool in_short_reach(uint64_t site, uint64_t target) {
    const auto distance = static_cast<int64_t>(target - (site + 2));
    return distance >= -128 && distance <= 127;
}

// A run of padding of at least five bytes, reachable by a short jump from the two-byte instruction at `site`
// and not overlapping any of `taken`; 0 when there is none. Without function extents only int3 runs count (Go
// pads so).
uint64_t find_padding(const Module& module, const FunctionExtents& extents, uint64_t site,
                      const uint64_t* taken, uint32_t taken_count);

}  // namespace offheap::hook
