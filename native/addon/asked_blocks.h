// What the blocks that are live were asked for, as those who read an allocator's memory want to know it.
#pragma once

#include <stdint.h>

namespace offheap::addon {

struct AskedBlock {
    uint64_t bytes = 0;
    double weight = 1;    // so many blocks it stands for: of sampled ones, more than one
    double variance = 0;  // of that number, a square of its standard error
};

class AskedBlocks {
  public:
    virtual ~AskedBlocks() = default;

    // Will be looked for soon.
    virtual void expect(uint64_t address) const = 0;
    // False where no live block that was recorded has this address.
    virtual bool find(uint64_t address, AskedBlock& block) const = 0;
};

}  // namespace offheap::addon
