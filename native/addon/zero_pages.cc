#include "native/addon/zero_pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <initializer_list>

namespace offheap::addon {
namespace {

void read_once(uint64_t address) {
    [[maybe_unused]] const char byte = *reinterpret_cast<volatile const char*>(address);
}

uint64_t frame_at(int pagemap, uint64_t address) {
    uint64_t entry = 0;
    const off_t at = static_cast<off_t>(address / kPageBytes * sizeof entry);
    if (pread(pagemap, &entry, sizeof entry, at) != sizeof entry) return 0;
    return (entry & kEntryPresent) != 0 ? entry & kEntryFrame : 0;
}

uint64_t page_frame(int pagemap) {
    void* page = mmap(nullptr, kPageBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return 0;
    const auto address = reinterpret_cast<uint64_t>(page);
    read_once(address);
    const uint64_t frame = frame_at(pagemap, address);
    munmap(page, kPageBytes);
    return frame;
}

// The kernel keeps the huge page of zeros until the last process that ever mapped it ends: it stays what it
// is.
uint64_t huge_page_frame(int pagemap) {
    const ReadHugePages pages;
    if (pages.first() == 0) return 0;
    const uint64_t frame = frame_at(pagemap, pages.first());
    // With use_zero_page off each of them has memory of its own; without huge pages it is the small page of
    // zeros, which stands at its second page, too.
    const bool is_shared = frame == frame_at(pagemap, pages.second());
    return is_shared && frame != frame_at(pagemap, pages.first() + kPageBytes) ? frame : 0;
}

}  // namespace

ReadHugePages::ReadHugePages()
    : mapping_(
          mmap(nullptr, 3 * kHugePageBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    if (mapping_ == MAP_FAILED) return;
    first_ = (reinterpret_cast<uint64_t>(mapping_) + kHugePageBytes - 1) & ~(kHugePageBytes - 1);
    madvise(reinterpret_cast<void*>(first_), 2 * kHugePageBytes, MADV_HUGEPAGE);
    for (const uint64_t page : {first(), first() + kPageBytes, second()}) read_once(page);
}

ReadHugePages::~ReadHugePages() {
    if (mapping_ != MAP_FAILED) munmap(mapping_, 3 * kHugePageBytes);
}

const ZeroFrames& zero_frames() {
    static const ZeroFrames frames = [] {
        ZeroFrames found;
        const int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
        if (pagemap < 0) return found;
        found = {.page = page_frame(pagemap), .huge_page = huge_page_frame(pagemap)};
        close(pagemap);
        return found;
    }();
    return frames;
}

}  // namespace offheap::addon
