#include "preload/record/mapping_index.h"

namespace offheap::record {

void MappingIndex::clear() {
    if (listed_ == 0) {
        for (uint32_t i = 0; i < kBlocks; ++i) order_[i] = i;
        listed_ = 1;
    }
    used_ = 0;
}

MappingIndex::Place MappingIndex::first_ending_behind(uint64_t address) {
    uint32_t low = 0;
    uint32_t high = used_;
    while (low < high) {  // the first block whose last mapping ends behind `address`; no block is empty
        const uint32_t middle = (low + high) / 2;
        const Block& candidate = block(middle);
        if (candidate.mappings[candidate.count - 1].end > address) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    const uint32_t rank = low;
    if (rank == used_) return {rank, 0};
    low = 0;
    high = block(rank).count;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (block(rank).mappings[middle].end > address) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return {rank, low};
}

// Makes two half-full blocks of a full one; false when no block is free.
bool MappingIndex::split(uint32_t rank) {
    if (used_ == kBlocks) return false;
    const uint32_t free_block = order_[used_];
    for (uint32_t i = used_; i > rank + 1; --i) order_[i] = order_[i - 1];
    order_[rank + 1] = free_block;
    ++used_;
    Block& lower = block(rank);
    Block& upper = block(rank + 1);
    constexpr uint32_t kHalf = kBlockMappings / 2;
    for (uint32_t i = kHalf; i < kBlockMappings; ++i) upper.mappings[i - kHalf] = lower.mappings[i];
    lower.count = upper.count = kHalf;
    return true;
}

void MappingIndex::insert(const IndexedMapping& mapping) {
    IndexedMapping in_the_way;
    while (take_overlapping(mapping.start, mapping.end, &in_the_way)) {
    }
    Place place = first_ending_behind(mapping.start);
    if (place.rank == used_) {  // behind all others
        if (used_ > 0 && block(used_ - 1).count < kBlockMappings) {
            place = {used_ - 1, block(used_ - 1).count};
        } else {
            if (used_ == kBlocks) return;
            block(used_).count = 0;
            place = {used_++, 0};
        }
    } else if (block(place.rank).count == kBlockMappings) {
        if (!split(place.rank)) return;
        const uint32_t lower = block(place.rank).count;
        if (place.at > lower) place = {place.rank + 1, place.at - lower};
    }
    Block& target = block(place.rank);
    for (uint32_t i = target.count; i > place.at; --i) target.mappings[i] = target.mappings[i - 1];
    target.mappings[place.at] = mapping;
    ++target.count;
}

void MappingIndex::remove(Place place) {
    Block& from = block(place.rank);
    --from.count;
    for (uint32_t i = place.at; i < from.count; ++i) from.mappings[i] = from.mappings[i + 1];
    if (from.count > 0) return;
    const uint32_t emptied = order_[place.rank];
    --used_;
    for (uint32_t i = place.rank; i < used_; ++i) order_[i] = order_[i + 1];
    order_[used_] = emptied;
}

bool MappingIndex::take_overlapping(uint64_t start, uint64_t end, IndexedMapping* taken) {
    const Place place = first_ending_behind(start);
    if (place.rank == used_ || block(place.rank).mappings[place.at].start >= end) return false;
    *taken = block(place.rank).mappings[place.at];
    remove(place);
    return true;
}

}  // namespace offheap::record
