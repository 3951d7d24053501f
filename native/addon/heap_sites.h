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
HeapWeight weigh(uint64_t bytes, uint32_t sampled_every);

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
    std::vector<uint32_t> slots_;  // row + 1
};

// All that a live block doesn't say itself.
struct HeapSite {
    uint32_t stack_row = 0;
    uint32_t thread_row = 0;
    uint32_t sampled_every = 0;
    uint32_t era = 0;  // the marks that were made before
    bool operator==(const HeapSite&) const = default;
};

// Interned sites, counted by their users: one that has none is forgotten when room is wanted.
class HeapSites {
  public:
    // Counts a user.
    uint32_t use(const HeapSite& site);
    void leave(uint32_t site) { --uses_[site]; }
    // One user more of a site that has some.
    void share(uint32_t site) { ++uses_[site]; }
    const HeapSite& operator[](uint32_t site) const { return sites_[site]; }

  private:
    void rebuild();

    std::vector<HeapSite> sites_;
    std::vector<uint32_t> uses_;
    std::vector<uint32_t> free_;
    std::vector<uint32_t> slots_;  // site + 1
    size_t interned_ = 0;
};

}  // namespace offheap::addon
