#include "native/addon/heap_sites.h"

#include <math.h>

#include <algorithm>

namespace offheap::addon {
namespace {

constexpr size_t kFirstSlots = 1024;

uint64_t mix(uint64_t value) {
    value *= 0x9e37'79b9'7f4a'7c15ULL;
    value = (value ^ value >> 32) * 0xd6e8'feb8'6659'fd93ULL;
    return value ^ value >> 32;
}

uint64_t hash(const HeapSite& site) {
    return mix(mix(uint64_t{site.stack_row} << 32 | site.thread_row) +
               (uint64_t{site.sampled_every} << 32 | site.era));
}

}  // namespace

// A block is recorded with probability p = 1 - exp(-bytes / mean), so it stands for 1/p of its kind; of a
// sum of such weights, each adds (1 - p) / p² to an unbiased estimate of the variance.
HeapWeight weigh(uint64_t bytes, uint32_t sampled_every) {
    const auto size = static_cast<double>(bytes);
    if (sampled_every == 0) return {size, 1, {}};
    const double p = -expm1(-std::max(size, 1.0) / sampled_every);
    const double excess = (1 - p) / (p * p);
    return {size / p, 1 / p, {size * size * excess, excess}};
}

uint32_t HeapRows::row_of(uint32_t key) {
    if (2 * (rows_.size() + 1) > slots_.size()) grow();
    const size_t mask = slots_.size() - 1;
    size_t slot = mix(key) & mask;
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
        size_t slot = mix(rows_[row].key) & mask;
        while (slots_[slot] != 0) slot = (slot + 1) & mask;
        slots_[slot] = row + 1;
    }
}

uint32_t HeapSites::use(const HeapSite& site) {
    if (2 * (interned_ + 1) > slots_.size()) rebuild();
    const size_t mask = slots_.size() - 1;
    size_t slot = hash(site) & mask;
    for (; slots_[slot] != 0; slot = (slot + 1) & mask) {
        const uint32_t index = slots_[slot] - 1;
        if (sites_[index] == site) {
            ++uses_[index];
            return index;
        }
    }
    if (free_.empty()) {
        free_.push_back(static_cast<uint32_t>(sites_.size()));
        sites_.emplace_back();
        uses_.push_back(0);
    }
    const uint32_t index = free_.back();
    free_.pop_back();
    sites_[index] = site;
    uses_[index] = 1;
    slots_[slot] = index + 1;
    ++interned_;
    return index;
}

// Forgets sites without users; grows where that gains too little.
void HeapSites::rebuild() {
    std::vector<uint32_t> used;
    for (const uint32_t entry : slots_) {
        if (entry == 0) continue;
        (uses_[entry - 1] != 0 ? used : free_).push_back(entry - 1);
    }
    interned_ = used.size();
    slots_.assign(
        3 * (interned_ + 1) > slots_.size() ? std::max(kFirstSlots, 2 * slots_.size()) : slots_.size(), 0);
    const size_t mask = slots_.size() - 1;
    for (const uint32_t index : used) {
        size_t slot = hash(sites_[index]) & mask;
        while (slots_[slot] != 0) slot = (slot + 1) & mask;
        slots_[slot] = index + 1;
    }
}

}  // namespace offheap::addon
