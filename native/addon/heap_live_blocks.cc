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

}  // namespace offheap::addon
