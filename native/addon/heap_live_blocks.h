// The live allocations, by address: 16 bytes each.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <algorithm>
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
    bool take(uint64_t address, uint32_t born, LiveBlock& block) {
        const uint64_t key = address_key(address);
        Segment& segment = segments_[key >> kSegmentShift];
        Packed* packed = segment.find(key);
        if (packed == nullptr || packed->born() > born) return false;
        block = unpack(*packed);
        if (packed->size() == kLarge) large_.erase(key);
        segment.erase(packed);
        --size_;
        return true;
    }
    // False, and nothing done, where the address has one.
    bool put(uint64_t address, const LiveBlock& block) {
        const uint64_t key = address_key(address);
        const uint64_t site_low = block.site & ((1 << kOrderShift) - 1),
                       site_high = block.site >> kOrderShift;
        const uint64_t size = std::min<uint64_t>(block.bytes + 1, kLarge);
        if (!segments_[key >> kSegmentShift].insert_unique(
                {key << kOrderShift | site_low, uint64_t{block.born} << 32 | site_high << 24 | size})) {
            return false;
        }
        if (size == kLarge) large_[key] = block.bytes;
        ++size_;
        return true;
    }

    [[gnu::always_inline]] void prefetch(uint64_t address) const {
        const uint64_t key = address_key(address & (kAddressLimit - 1));
        segments_[key >> kSegmentShift].prefetch(key);
    }

    template <typename Visit>
    void for_each(Visit visit) const {
        for (const auto& segment : segments_)
            segment.for_each([&](const Packed& packed) { visit(unpack(packed)); });
    }
    // `visit(address, block)`
    template <typename Visit>
    void for_each_at(Visit visit) const {
        const uint64_t inverse = inverse_of(g_address_factor);
        for (const auto& segment : segments_) {
            segment.for_each(
                [&](const Packed& packed) { visit(address_of_key(packed.key(), inverse), unpack(packed)); });
        }
    }
    template <typename Discard>
    void erase_if(Discard discard) {
        for (auto& segment : segments_) {
            segment.erase_if([&](const Packed& packed) {
                if (!discard(unpack(packed))) return false;
                if (packed.size() == kLarge) large_.erase(packed.key());
                --size_;
                return true;
            });
        }
    }

  private:
    // A size is kept plus one, so that a living block has one; from here on they stand in a table of their
    // own.
    static constexpr uint32_t kLarge = (1U << 24) - 1;
    // Each segment grows on its own, so that little is copied at once and little is held twice.
    static constexpr uint32_t kSegmentBits = 8;
    static constexpr uint32_t kSegmentShift = kAddressKeyBits - kSegmentBits;

    // key 44 · site 20 of 28 | born 32 · site 8 · size 24
    struct Packed {
        uint64_t key_and_site = 0;
        uint64_t rest = 0;
        uint64_t order() const { return key_and_site; }
        uint64_t key() const { return key_and_site >> kOrderShift; }
        bool alive() const { return rest != 0; }
        void bury() { rest = 0; }
        uint32_t size() const { return rest & kLarge; }
        uint32_t born() const { return static_cast<uint32_t>(rest >> 32); }
        uint32_t site() const {
            return static_cast<uint32_t>((rest >> 24 & 0xff) << kOrderShift |
                                         (key_and_site & ((1 << kOrderShift) - 1)));
        }
    };
    static_assert(sizeof(Packed) == 16 && kOrderShift == 20);
    using Segment = AddressTable<Packed, kSegmentBits>;

    LiveBlock unpack(const Packed& packed) const {
        const uint32_t size = packed.size();
        return {size == kLarge ? large_.at(packed.key()) : size - 1, packed.site(), packed.born()};
    }

    std::array<Segment, 1 << kSegmentBits> segments_;
    std::unordered_map<uint64_t, uint64_t> large_;  // bytes by key
    size_t size_ = 0;
};

}  // namespace offheap::addon
