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
    return {static_cast<double>(bytes), 1, {}};
}

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
    uint32_t use(const HeapSiteKey& key);
    void leave(uint32_t site) { --sites_[site].users; }
    const HeapSite& operator[](uint32_t site) const { return sites_[site].site; }

  private:
    void rebuild();

    struct Interned {
        HeapSite site;
        uint32_t users = 0;
    };

    size_t slot_of(const HeapSiteKey& key) const;

    HeapRows& stacks_;
    std::vector<Interned> sites_;
    std::vector<uint32_t> free_;
    std::vector<uint32_t> slots_;  // site + 1; as many as a power of two
    size_t interned_ = 0;
};

}  // namespace offheap::addon
