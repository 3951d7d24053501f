// The nodes that a thread looked for of late, of those that are not their parent's first child: the stack
// tree's index has megabytes, and no two look-ups meet in it.
#pragma once

#include <stdint.h>

namespace offheap::record {

// Usable when all zeros, and whatever an abandoned note() has left: the two words of an entry are mixed, so
// that those of different ones don't match.
class RecentChildren {
  public:
    // 0 where it isn't known.
    uint32_t find(uint64_t channel_id, uint32_t parent, uint64_t key) const {
        const Entry& entry = entries_[place_of(parent, key)];
        const uint64_t edge = entry.edge;
        if (edge >> 32 != parent || entry.check != check(channel_id, key, edge)) return 0;
        return static_cast<uint32_t>(edge);
    }

    void note(uint64_t channel_id, uint32_t parent, uint64_t key, uint32_t child) {
        const uint64_t edge = uint64_t{parent} << 32 | child;
        entries_[place_of(parent, key)] = {check(channel_id, key, edge), edge};
    }

  private:
    struct Entry {
        uint64_t check;
        uint64_t edge;  // from parent to child
    };
    static constexpr uint32_t kPlaceBits = 11;

    static uint64_t check(uint64_t channel_id, uint64_t key, uint64_t edge) {
        return key ^ channel_id ^ edge * 0xd6e8feb86659fd93ULL;
    }
    static uint64_t place_of(uint32_t parent, uint64_t key) {
        return (key ^ uint64_t{parent} << 32 ^ parent) * 0x9e3779b97f4a7c15ULL >> (64 - kPlaceBits);
    }

    Entry entries_[1u << kPlaceBits];
};

}  // namespace offheap::record
