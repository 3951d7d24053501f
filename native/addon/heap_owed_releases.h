// Releases whose allocation was not told yet: its thread may keep it in its window for ever.
#pragma once

#include <stdint.h>

#include "native/addon/heap_address_table.h"

namespace offheap::addon {

struct OwedRelease {
    uint64_t key = 0;
    uint64_t address = 0;
    uint64_t time = 0;
    uint32_t lane = 0;
    bool reallocation = false;
    bool awaited = false;  // by an allocation that rests in a window
    uint64_t order() const { return key << kOrderShift; }
    bool alive() const { return address != 0; }
    void bury() { address = 0; }
};

class OwedReleases {
  public:
    bool empty() const { return releases_.empty(); }
    size_t size() const { return releases_.size(); }

    // False where the address has so many that they can't all be true.
    bool add(OwedRelease release) {
        release.key = address_key(release.address);
        unsigned same = 0;
        for (auto* at = releases_.find(release.key); at != nullptr; at = releases_.next(at)) ++same;
        if (same == kMostOfAddress) return false;
        releases_.insert(release);
        return true;
    }

    // The earliest release of an address within [from, until].
    OwedRelease* earliest(uint64_t address, uint64_t from, uint64_t until) {
        OwedRelease* found = nullptr;
        for (auto* at = releases_.find(address_key(address)); at != nullptr; at = releases_.next(at)) {
            if (at->time >= from && at->time <= until && (found == nullptr || at->time < found->time))
                found = at;
        }
        return found;
    }

    OwedRelease* find(uint64_t address, uint64_t time, uint32_t lane) {
        for (auto* at = releases_.find(address_key(address)); at != nullptr; at = releases_.next(at)) {
            if (at->time == time && at->lane == lane) return at;
        }
        return nullptr;
    }

    // Other pointers to releases are stale then.
    void erase(OwedRelease* release) { releases_.erase(release); }

    template <typename Discard>
    void erase_if(Discard discard) {
        releases_.erase_if(discard);
    }

  private:
    // An address can be freed once for each window in which an allocation of it rests. What double frees and
    // a hostile target add beyond any sense would make each search long.
    static constexpr unsigned kMostOfAddress = 64;

    AddressTable<OwedRelease, 0> releases_;
};

}  // namespace offheap::addon
