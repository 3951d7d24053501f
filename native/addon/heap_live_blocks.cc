#include "native/addon/heap_live_blocks.h"

#include <sys/random.h>

#include <mutex>

namespace offheap::addon {

void choose_address_factor() {
    static std::once_flag once;
    std::call_once(once, [] {
        uint64_t factor = 0;
        // Without randomness nothing is lost but the defence.
        if (getrandom(&factor, sizeof factor, GRND_NONBLOCK) == sizeof factor) g_address_factor = factor | 1;
    });
}

LiveBlocks::LiveBlocks() {
    choose_address_factor();
    // By a different part each: in step, all would have their slack at the same time.
    uint32_t growth = 0;
    for (Segment& segment : segments_) segment.set_growth(10 + growth++ % 11);
}

bool LiveBlocks::find(uint64_t address, LiveBlock& block) const {
    const uint64_t key = address_key(address);
    const Packed* packed = segments_[key >> kSegmentShift].find(key);
    if (packed == nullptr) return false;
    block = unpack(*packed);
    return true;
}

bool LiveBlocks::take(uint64_t address, uint32_t born, LiveBlock& block) {
    const uint64_t key = address_key(address);
    Segment& segment = segments_[key >> kSegmentShift];
    Packed* packed = segment.find(key);
    if (packed == nullptr || packed->born() > born) return false;
    block = unpack(*packed);
    if (packed->bytes() == kLarge) large_.erase(key);
    segment.erase(packed);
    --size_;
    return true;
}

bool LiveBlocks::put(uint64_t address, const LiveBlock& block) {
    const uint64_t key = address_key(address);
    const uint64_t site_low = block.site & ((1 << kOrderShift) - 1), site_high = block.site >> kOrderShift;
    const uint64_t bytes = block.bytes < kLarge ? block.bytes : kLarge;
    const Packed packed = {key << kOrderShift | site_low,
                           uint64_t{block.born} << 32 | site_high << 24 | bytes};
    if (!segments_[key >> kSegmentShift].insert_unique(packed)) return false;
    if (bytes == kLarge) large_[key] = block.bytes;
    ++size_;
    return true;
}

}  // namespace offheap::addon
