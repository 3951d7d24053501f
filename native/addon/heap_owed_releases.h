// Releases whose allocation was not told yet: its thread may keep it in its window for ever.
#pragma once

#include <stdint.h>

#include "native/addon/heap_probed_array.h"

namespace offheap::addon {

struct OwedRelease {
    uint64_t released = 0;  // the address
    uint64_t time = 0;
    uint32_t lane = 0;
    bool reallocation = false;
    uint64_t address() const { return released; }
};

class OwedReleases {
  public:
    bool empty() const { return releases_.empty(); }
    size_t size() const { return releases_.size(); }

    // False where the address has so many that they can't all be true.
    bool add(const OwedRelease& release) {
        const uint64_t hash = hash_address(release.released);
        unsigned same = 0;
        for (auto* at = releases_.find(release.released, hash); at != nullptr; at = releases_.next(at)) {
            if (++same == kMostOfAddress) return false;
        }
        releases_.insert(release, hash);
        return true;
    }

    // The earliest release of an address within [from, until].
    OwedRelease* earliest(uint64_t address, uint64_t from, uint64_t until) {
        OwedRelease* found = nullptr;
        for (auto* at = releases_.find(address, hash_address(address)); at != nullptr;
             at = releases_.next(at)) {
            if (at->time >= from && at->time <= until && (found == nullptr || at->time < found->time))
                found = at;
        }
        return found;
    }

    OwedRelease* find(uint64_t address, uint64_t time, uint32_t lane) {
        for (auto* at = releases_.find(address, hash_address(address)); at != nullptr;
             at = releases_.next(at)) {
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
    // An address can be freed once for each window that rests an allocation of it. What double frees and a
    // hostile target add beyond any sense would make each search long.
    static constexpr unsigned kMostOfAddress = 64;

    ProbedArray<OwedRelease> releases_;
};

}  // namespace offheap::addon
