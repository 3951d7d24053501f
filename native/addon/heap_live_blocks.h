// The live allocations, by address: 16 bytes each.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <array>
#include <unordered_map>

#include "native/addon/heap_probed_array.h"

namespace offheap::addon {

struct LiveBlock {
    uint64_t address = 0;  // a multiple of 8 below kAddressLimit
    uint64_t bytes = 0;
    uint32_t site = 0;  // below kSiteLimit
    uint32_t born = 0;  // a coarse time
};

class LiveBlocks {
  public:
    static constexpr uint64_t kAddressLimit = 1ULL << 47;
    static constexpr uint32_t kSiteLimit = 1U << 28;

    LiveBlocks();

    size_t size() const { return size_; }
    bool find(uint64_t address, LiveBlock& block);
    bool take(uint64_t address, LiveBlock& block) { return take_born_until(address, UINT32_MAX, block); }
    // Leaves a younger one where it is.
    bool take_born_until(uint64_t address, uint32_t born, LiveBlock& block);
    // There must be none of this address.
    void put(const LiveBlock& block);

    void prefetch(uint64_t address) const {
        const uint64_t hash = hash_address(address);
        segment(hash).prefetch(hash);
    }

    template <typename Visit>
    void for_each(Visit visit) const {
        for (const auto& segment : segments_)
            segment.for_each([&](const Packed& packed) { visit(unpack(packed)); });
    }
    template <typename Discard>
    void erase_if(Discard discard) {
        for (auto& segment : segments_) {
            segment.erase_if([&](const Packed& packed) {
                const LiveBlock block = unpack(packed);
                if (!discard(block)) return false;
                if (packed.bytes == kLarge) large_.erase(block.address);
                --size_;
                return true;
            });
        }
    }

  private:
    // Sizes from here on stand in a table of their own.
    static constexpr uint32_t kLarge = (1U << 24) - 1;
    // Each segment grows on its own, so that little is copied at once and little is held twice.
    static constexpr size_t kSegments = 256;

    struct Packed {
        uint64_t place : 44 = 0;  // address / 8
        uint64_t site_low : 20 = 0;
        uint64_t site_high : 8 = 0;
        uint64_t bytes : 24 = 0;
        uint64_t born : 32 = 0;
        uint64_t address() const { return place << 3; }
        uint32_t site() const { return static_cast<uint32_t>(site_high << 20 | site_low); }
    };
    static_assert(sizeof(Packed) == 16);

    LiveBlock unpack(const Packed& packed) const;
    // The hash's high bits choose the segment, its low half the slot.
    ProbedArray<Packed>& segment(uint64_t hash) { return segments_[hash >> 56]; }
    const ProbedArray<Packed>& segment(uint64_t hash) const { return segments_[hash >> 56]; }

    std::array<ProbedArray<Packed>, kSegments> segments_;
    std::unordered_map<uint64_t, uint64_t> large_;
    size_t size_ = 0;
};

}  // namespace offheap::addon
