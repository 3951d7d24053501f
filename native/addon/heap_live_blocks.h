// The live allocations, by address: 16 bytes each.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <array>
#include <unordered_map>

#include "native/addon/heap_address_table.h"

namespace offheap::addon {

struct LiveBlock {
    uint64_t bytes = 0;
    uint32_t site = 0;  // below kSiteLimit
    uint32_t born = 0;  // a coarse time
};

// Addresses are multiples of 8 below kAddressLimit, and not 0.
class LiveBlocks {
  public:
    static constexpr uint64_t kAddressLimit = 1ULL << 47;
    static constexpr uint32_t kSiteLimit = 1U << 28;

    LiveBlocks();

    size_t size() const { return size_; }
    bool find(uint64_t address, LiveBlock& block) const;
    // Takes it out unless it is younger than `born`.
    bool take(uint64_t address, uint32_t born, LiveBlock& block);
    // False, and nothing done, where the address has one.
    bool put(uint64_t address, const LiveBlock& block);

    [[gnu::always_inline]] void prefetch(uint64_t address) const {
        const uint64_t key = address_key(address & (kAddressLimit - 1));
        segments_[key >> kSegmentShift].prefetch(key);
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
                if (!discard(unpack(packed))) return false;
                if (packed.bytes() == kLarge) large_.erase(packed.key());
                --size_;
                return true;
            });
        }
    }

  private:
    // Sizes from here on stand in a table of their own.
    static constexpr uint32_t kLarge = (1U << 24) - 1;
    // Each segment grows on its own, so that little is copied at once and little is held twice.
    static constexpr uint32_t kSegmentBits = 8;
    static constexpr uint32_t kSegmentShift = kAddressKeyBits - kSegmentBits;

    // key 44 · site 20 of 28 | born 32 · site 8 · bytes 24
    struct Packed {
        uint64_t key_and_site = 0;
        uint64_t rest = 0;
        uint64_t order() const { return key_and_site; }
        uint64_t key() const { return key_and_site >> kOrderShift; }
        uint32_t bytes() const { return rest & kLarge; }
        uint32_t born() const { return static_cast<uint32_t>(rest >> 32); }
        uint32_t site() const {
            return static_cast<uint32_t>((rest >> 24 & 0xff) << kOrderShift |
                                         (key_and_site & ((1 << kOrderShift) - 1)));
        }
    };
    static_assert(sizeof(Packed) == 16 && kOrderShift == 20);
    using Segment = AddressTable<Packed, kSegmentBits>;

    LiveBlock unpack(const Packed& packed) const {
        const uint32_t bytes = packed.bytes();
        return {bytes == kLarge ? large_.at(packed.key()) : bytes, packed.site(), packed.born()};
    }

    std::array<Segment, 1 << kSegmentBits> segments_;
    std::unordered_map<uint64_t, uint64_t> large_;  // bytes by key
    size_t size_ = 0;
};

}  // namespace offheap::addon
