// The pages of zeros that the kernel maps where anonymous memory was only read. All processes share them, so
// ours tells which they are. RSS does not count them.
#pragma once

#include <stdint.h>

#include "native/addon/pagemap_entry.h"

namespace offheap::addon {

inline constexpr uint64_t kHugePageBytes = 2 << 20;

// Frames of the shared pages of zeros; 0 where there is none, or where the kernel hides frames (without
// CAP_SYS_ADMIN).
struct ZeroFrames {
    uint64_t page = 0;
    uint64_t huge_page = 0;  // the first of its 512

    bool hold(uint64_t frame) const {
        constexpr uint64_t kFrames = kHugePageBytes / kPageBytes;
        return (page != 0 && frame == page) || (huge_page != 0 && frame - huge_page < kFrames);
    }
};

const ZeroFrames& zero_frames();

// Two huge pages side by side that were read and never written.
class ReadHugePages {
  public:
    ReadHugePages();
    ReadHugePages(const ReadHugePages&) = delete;
    ReadHugePages& operator=(const ReadHugePages&) = delete;
    ~ReadHugePages();

    uint64_t first() const { return first_; }  // 0 where no address space is to be had
    uint64_t second() const { return first_ + kHugePageBytes; }

  private:
    void* mapping_;
    uint64_t first_ = 0;
};

}  // namespace offheap::addon
