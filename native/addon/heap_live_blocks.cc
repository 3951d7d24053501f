#include "native/addon/heap_live_blocks.h"

#include <stdlib.h>
#include <sys/random.h>

#include <mutex>

namespace offheap::addon {

void salt_addresses() {
    static std::once_flag once;
    std::call_once(once, [] {
        uint64_t salt = 0;
        // Without randomness it is slower at worst.
        if (getrandom(&salt, sizeof salt, GRND_NONBLOCK) == sizeof salt) g_address_salt = salt;
    });
}

LiveBlocks::LiveBlocks() {
    salt_addresses();
    // An eighth to a quarter: in step, all would have their slack at the same time.
    for (uint32_t index = 0; index < kSegments; ++index) segments_[index].set_growth(16 + index % 17);
}

LiveBlock LiveBlocks::unpack(const Packed& packed) const {
    LiveBlock block{packed.address(), packed.bytes, packed.site(), static_cast<uint32_t>(packed.born)};
    if (packed.bytes == kLarge) block.bytes = large_.at(block.address);
    return block;
}

bool LiveBlocks::find(uint64_t address, LiveBlock& block) {
    const uint64_t hash = hash_address(address);
    const Packed* packed = segment(hash).find(address, hash);
    if (packed == nullptr) return false;
    block = unpack(*packed);
    return true;
}

bool LiveBlocks::take_born_until(uint64_t address, uint32_t born, LiveBlock& block) {
    const uint64_t hash = hash_address(address);
    Packed* packed = segment(hash).find(address, hash);
    if (packed == nullptr || packed->born > born) return false;
    block = unpack(*packed);
    if (packed->bytes == kLarge) large_.erase(address);
    segment(hash).erase(packed);
    --size_;
    return true;
}

void LiveBlocks::put(const LiveBlock& block) {
    const uint64_t hash = hash_address(block.address);
    Packed packed;
    packed.place = block.address >> 3;
    packed.site_low = block.site & 0xfffff;
    packed.site_high = block.site >> 20;
    packed.bytes = block.bytes < kLarge ? block.bytes : kLarge;
    packed.born = block.born;
    if (packed.bytes == kLarge) large_[block.address] = block.bytes;
    segment(hash).insert(packed, hash);
    ++size_;
}

}  // namespace offheap::addon
