#include "native/addon/heap_sites.h"

#include <math.h>

#include <algorithm>

namespace offheap::addon {
namespace {

constexpr size_t kFirstSlots = 1024;

}  // namespace

// A block is recorded with probability p = 1 - exp(-bytes / mean), so it stands for 1/p of its kind; of a
// sum of such weights, each adds (1 - p) / p² to an unbiased estimate of the variance.
HeapWeight weigh_sampled(uint64_t bytes, uint32_t sampled_every) {
    const auto size = static_cast<double>(bytes);
    const double p = -expm1(-std::max(size, 1.0) / sampled_every);
    const double excess = (1 - p) / (p * p);
    return {size / p, 1 / p, {size * size * excess, excess}};
}

uint32_t HeapRows::row_of(uint32_t key) {
    if (2 * (rows_.size() + 1) > slots_.size()) grow();
    const size_t mask = slots_.size() - 1;
    size_t slot = hash_of(key) & mask;
    for (; slots_[slot] != 0; slot = (slot + 1) & mask) {
        if (rows_[slots_[slot] - 1].key == key) return slots_[slot] - 1;
    }
    if (rows_.size() >= limit_ && key != 0) return row_of(0);
    HeapCounts counts;
    counts.key = key;
    rows_.push_back(counts);
    slots_[slot] = static_cast<uint32_t>(rows_.size());
    return slots_[slot] - 1;
}

void HeapRows::grow() {
    slots_.assign(std::max(kFirstSlots, 2 * slots_.size()), 0);
    const size_t mask = slots_.size() - 1;
    for (uint32_t row = 0; row < rows_.size(); ++row) {
        size_t slot = hash_of(rows_[row].key) & mask;
        while (slots_[slot] != 0) slot = (slot + 1) & mask;
        slots_[slot] = row + 1;
    }
}

size_t HeapSites::free_slot(const HeapSiteKey& key) const {
    const size_t mask = slots_.size() - 1;
    size_t slot = hash(key) & mask;
    while (slots_[slot] != 0) slot = (slot + 1) & mask;
    return slot;
}

uint32_t HeapSites::intern(const HeapSiteKey& key) {
    if (2 * (interned_ + 1) > slots_.size()) rebuild();
    if (free_.empty()) {
        free_.push_back(static_cast<uint32_t>(sites_.size()));
        sites_.emplace_back();
    }
    const uint32_t index = free_.back();
    free_.pop_back();
    sites_[index] = {{key, stacks_.row_of(key.stack)}, 1};
    slots_[free_slot(key)] = index + 1;
    ++interned_;
    return index;
}

// Forgets sites without users; grows where that gains too little.
void HeapSites::rebuild() {
    std::vector<uint32_t> used;
    for (const uint32_t entry : slots_) {
        if (entry == 0) continue;
        (sites_[entry - 1].users != 0 ? used : free_).push_back(entry - 1);
    }
    interned_ = used.size();
    slots_.assign(
        3 * (interned_ + 1) > slots_.size() ? std::max(kFirstSlots, 2 * slots_.size()) : slots_.size(), 0);
    for (const uint32_t index : used) slots_[free_slot(sites_[index].site)] = index + 1;
}

}  // namespace offheap::addon
