// Which mappings of a backlog are untouched since they were made, by address. What it forgets, or has no room
// for, is merely not dropped.
#pragma once

#include <stdint.h>

namespace offheap::record {

struct IndexedMapping {
    uint64_t start, end;
    uint32_t slot;   // in the backlog
    uint32_t alone;  // it was put where nothing lay: without it and its release all is as before
};

// Sorted and disjoint, in blocks, so that no insertion moves more than a block. Lives in memory that begins
// as zeros.
class MappingIndex {
  public:
    void clear();

    // What is in the way is taken out first.
    void insert(const IndexedMapping& mapping);

    // Takes out the first mapping that overlaps [start, end); false when none does.
    bool take_overlapping(uint64_t start, uint64_t end, IndexedMapping* taken);

  private:
    static constexpr uint32_t kBlocks = 1024;
    static constexpr uint32_t kBlockMappings = 64;
    struct Block {
        uint32_t count;
        IndexedMapping mappings[kBlockMappings];
    };
    struct Place {
        uint32_t rank;  // of the block, in order of addresses
        uint32_t at;
    };

    Block& block(uint32_t rank) { return blocks_[order_[rank]]; }
    Place first_ending_behind(uint64_t address);
    bool split(uint32_t rank);
    void remove(Place place);

    uint32_t used_ = 0;    // blocks in `order_`; the rest of it lists the free ones
    uint32_t listed_ = 0;  // whether `order_` was filled
    uint32_t order_[kBlocks] = {};
    Block blocks_[kBlocks] = {};
};

}  // namespace offheap::record
