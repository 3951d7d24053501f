// Which address ranges hold executable code of files. When one goes away, the module load generation rises:
// stacks of different generations may hold the same addresses and mean other code.
#pragma once

#include <stdint.h>

namespace offheap::hook {

// Lock-free for readers, also in signal handlers; a writer that finds another at work gives up and returns
// false.
class ExecutableRanges {
  public:
    bool add(uint64_t start, uint64_t end);
    // Removes what overlaps; true when something did.
    bool remove(uint64_t start, uint64_t end);
    bool overlaps(uint64_t start, uint64_t end) const;

    // In a forked child, which has one thread: true when the fork caught a writer half-way; the ranges are
    // then empty.
    bool reset_if_torn();

  private:
    static constexpr uint32_t kCapacity = 2048;
    struct Range {
        uint64_t start, end;
    };

    uint32_t first_ending_behind(uint64_t address, uint32_t count) const;
    void put(uint32_t at, uint64_t start, uint64_t end);
    bool begin_write();
    void end_write();

    uint32_t version_ = 0;  // odd while a writer is at work
    uint32_t count_ = 0;
    Range ranges_[kCapacity] = {};  // sorted, disjoint
};

}  // namespace offheap::hook
