// Whom heap events are counted for: stacks and threads, and the sites by which a live block names both.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <vector>

namespace offheap::addon {

// In doubles, since what is sampled counts by fractions; whole numbers are exact up to 2^53.
struct HeapCounts {
    double live_bytes = 0;
    double live_allocations = 0;
    double allocations = 0;
    double frees = 0;
    double temporary = 0;
    double allocated_bytes = 0;
    double peak_bytes = 0;
    uint32_t key = 0;          // stack node or thread id
    uint32_t live_blocks = 0;  // that the live sums are made of
};
static_assert(sizeof(HeapCounts) == 64, "one cache line");

// Of the live sums: squares of their standard errors.
struct HeapVariance {
    double bytes = 0;
    double allocations = 0;
};

// What one recorded block stands for.
struct HeapWeight {
    double bytes;
    double allocations;
    HeapVariance variance;
};
HeapWeight weigh_sampled(uint64_t bytes, uint32_t sampled_every);
inline HeapWeight weigh(uint64_t bytes, uint32_t sampled_every) {
    if (sampled_every != 0) return weigh_sampled(bytes, sampled_every);
    return {static_cast<double>(static_cast<int64_t>(bytes)), 1, {}};  // signed: one instruction
}

// Multiplied, the high half is the best mixed.
inline size_t hash_of(uint64_t value) { return value * 0x9e37'79b9'7f4a'7c15ULL >> 32; }

// Maps keys to rows 0, 1, 2 … in the order of their first use; rows stay.
class HeapRows {
  public:
    explicit HeapRows(size_t limit) : limit_(limit) {}

    // Beyond the limit all that is new shares the row of key 0.
    uint32_t row_of(uint32_t key);
    HeapCounts& operator[](uint32_t row) { return rows_[row]; }
    const HeapCounts& operator[](uint32_t row) const { return rows_[row]; }
    size_t size() const { return rows_.size(); }

  private:
    void grow();

    size_t limit_;
    std::vector<HeapCounts> rows_;
    std::vector<uint32_t> slots_;  // row + 1; as many as a power of two
};

// All that a live block doesn't say itself.
struct HeapSiteKey {
    uint32_t stack = 0;
    uint32_t thread_row = 0;
    uint32_t sampled_every = 0;
    uint32_t era = 0;  // the marks that were made before
    bool operator==(const HeapSiteKey&) const = default;
};
struct HeapSite : HeapSiteKey {
    uint32_t stack_row = 0;
};

// Interned sites, counted by their users: one that has none is forgotten when room is wanted.
class HeapSites {
  public:
    explicit HeapSites(HeapRows& stacks) : stacks_(stacks) {}

    // Counts a user.
    uint32_t use(const HeapSiteKey& key) {
        const size_t mask = slots_.size() - 1;
        for (size_t slot = hash(key) & mask; slots_[slot] != 0; slot = (slot + 1) & mask) {
            const uint32_t site = slots_[slot] - 1;
            if (sites_[site].site != key) continue;
            ++sites_[site].users;
            return site;
        }
        return intern(key);
    }
    void leave(uint32_t site) { --sites_[site].users; }
    const HeapSite& operator[](uint32_t site) const { return sites_[site].site; }

  private:
    uint32_t intern(const HeapSiteKey& key);
    void rebuild();
    size_t free_slot(const HeapSiteKey& key) const;

    static size_t hash(const HeapSiteKey& key) {
        const uint64_t who = uint64_t{key.thread_row} << 32 | key.stack;
        const uint64_t how = uint64_t{key.era} << 32 | key.sampled_every;
        return hash_of(who ^ how * 0xd6e8'feb8'6659'fd93ULL);
    }

    struct Interned {
        HeapSite site;
        uint32_t users = 0;
    };

    HeapRows& stacks_;
    std::vector<Interned> sites_;
    std::vector<uint32_t> free_;
    std::vector<uint32_t> slots_ = {0};  // site + 1; as many as a power of two
    size_t interned_ = 0;
};

}  // namespace offheap::addon
