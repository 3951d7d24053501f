#include "native/addon/residency.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "native/addon/pagemap_entry.h"
#include "native/addon/zero_pages.h"

namespace offheap::addon {
namespace {

constexpr uint64_t kUserEnd = 0x7fff'ffff'f000ULL;
// The kernel holds the target's map for reading during a call: its threads' own page faults and mappings go
// on between.
constexpr uint64_t kBytesPerCall = 1ULL << 30;

// The kernel's interface (linux/fs.h, from 6.7 on), declared here because build machines have older headers.
struct ScanRequest {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
constexpr uint64_t kFile = 1 << 2;
constexpr uint64_t kPresent = 1 << 3;
constexpr uint64_t kSwapped = 1 << 4;
constexpr uint64_t kZeroPage = 1 << 5;
constexpr uint64_t kHuge = 1 << 6;
constexpr uint64_t kGuard = 1 << 8;
constexpr unsigned long kScan = _IOWR('f', 16, ScanRequest);

uint64_t page_end(uint64_t end) { return std::min((end + kPageBytes - 1) & ~(kPageBytes - 1), kUserEnd); }

void add(PageBytes& sum, uint64_t categories, uint64_t bytes) {
    if ((categories & kPresent) == 0) {
        sum.swap += bytes;
        return;
    }
    ((categories & kFile) != 0 ? sum.file : sum.anonymous) += bytes;
    if ((categories & kHuge) != 0) sum.huge += bytes;
}

}  // namespace

PageMap::PageMap(int process_id) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/pagemap", process_id);
    file_ = open(path, O_RDONLY | O_CLOEXEC);
    if (file_ < 0) open_errno_ = errno;
}

PageMap::~PageMap() {
    if (file_ >= 0) close(file_);
}

PageBytes PageMap::measure(uint64_t start, uint64_t end) {
    std::vector<PageBytes> bytes;
    sweep({{start & ~(kPageBytes - 1), page_end(end)}}, bytes);
    return bytes[0];
}

uint64_t PageMap::sweep(const std::vector<AddressRange>& ranges, std::vector<PageBytes>& bytes) {
    uint64_t between = 0;
    bytes.assign(ranges.size(), {});
    if (can_scan_ && scan_all(ranges, bytes, between)) return between;
    can_scan_ = false;
    bytes.assign(ranges.size(), {});
    for (size_t i = 0; i < ranges.size(); ++i) {
        read_entries(ranges[i].start, std::min(ranges[i].end, kUserEnd), bytes[i]);
    }
    return 0;
}

bool PageMap::scan_all(const std::vector<AddressRange>& ranges, std::vector<PageBytes>& bytes,
                       uint64_t& between) {
    Region regions[kRegions];
    size_t next = 0;  // the first range that may hold what is found from here on
    uint64_t last_end = 0;
    for (const AddressRange& range : ranges) last_end = std::max(last_end, std::min(range.end, kUserEnd));
    for (uint64_t at = 0; at < last_end;) {
        while (next < ranges.size() && ranges[next].end <= at) ++next;
        if (next == ranges.size()) break;
        at = std::max(at, ranges[next].start);
        if (at >= last_end) break;
        uint64_t walked_to = 0;
        const int count = scan(at, std::min(at + kBytesPerCall, last_end), regions, walked_to);
        if (count < 0) return false;
        for (int i = 0; i < count; ++i) {
            const Region& region = regions[i];
            uint64_t placed = 0;
            while (next < ranges.size() && ranges[next].end <= region.start) ++next;
            for (size_t r = next; r < ranges.size() && ranges[r].start < region.end; ++r) {
                const uint64_t start = std::max(region.start, ranges[r].start);
                const uint64_t end = std::min(region.end, ranges[r].end);
                if (start >= end) continue;
                if ((region.categories & (kHuge | kFile)) == kHuge && finds_huge_zeros()) {
                    add_memory_alone(start, end, bytes[r]);
                } else {
                    add(bytes[r], region.categories, end - start);
                }
                placed += end - start;
            }
            if ((region.categories & kPresent) != 0) between += region.end - region.start - placed;
        }
        // The process has ended: nothing is resident any more.
        if (walked_to <= at) break;
        at = walked_to;
    }
    return true;
}

// Linux 6.7 to 6.15 tell only the small page of zeros from memory.
bool PageMap::finds_huge_zeros() {
    static const bool finds = [] {
        const ReadHugePages pages;
        if (pages.first() == 0) return false;
        Region regions[kRegions];
        uint64_t walked_to = 0;
        return PageMap(getpid()).scan(pages.first(), pages.second(), regions, walked_to) > 0;
    }();
    return finds;
}

void PageMap::add_memory_alone(uint64_t start, uint64_t end, PageBytes& sum) {
    const uint64_t before = sum.anonymous;
    read_entries(start, end, sum);
    sum.huge += sum.anonymous - before;
}

int PageMap::scan(uint64_t start, uint64_t end, Region* regions, uint64_t& walked_to) {
    ScanRequest request = {};
    request.size = sizeof request;
    request.start = start;
    request.end = end;
    request.vec = reinterpret_cast<uint64_t>(regions);
    request.vec_len = kRegions;
    request.category_anyof_mask = kPresent | kSwapped;
    request.return_mask = kFile | kPresent | kSwapped | kHuge;
    for (;;) {
        // "Not the zero page, and present or swapped". A guard marker (Linux 6.15) would else pass for a page
        // in swap.
        request.category_mask = knows_guards_ ? kZeroPage | kGuard : kZeroPage;
        request.category_inverted = request.category_mask;
        const int count = ioctl(file_, kScan, &request);
        if (count >= 0) {
            walked_to = request.walk_end;
            return count;
        }
        if (errno == EINTR) continue;
        if (errno == ESRCH) return 0;
        if (errno != EINVAL || !knows_guards_) return -1;
        knows_guards_ = false;
    }
}

void PageMap::read_entries(uint64_t start, uint64_t end, PageBytes& sum) {
    const ZeroFrames& zeros = zero_frames();
    uint64_t entries[4096];
    while (start < end) {
        const uint64_t wanted = std::min<uint64_t>((end - start) / kPageBytes, std::size(entries));
        const ssize_t got = pread(file_, entries, wanted * sizeof entries[0],
                                  static_cast<off_t>(start / kPageBytes * sizeof entries[0]));
        if (got < 0 && errno == EINTR) continue;
        if (got < static_cast<ssize_t>(sizeof entries[0])) return;
        const uint64_t count = static_cast<uint64_t>(got) / sizeof entries[0];
        for (uint64_t i = 0; i < count; ++i) {
            const uint64_t entry = entries[i];
            if ((entry & kEntryPresent) != 0) {
                if (zeros.hold(entry & kEntryFrame)) continue;
                ((entry & kEntryFile) != 0 ? sum.file : sum.anonymous) += kPageBytes;
            } else if ((entry & kEntrySwapped) != 0 && (entry & kEntryGuard) == 0) {
                sum.swap += kPageBytes;
            }
        }
        start += count * kPageBytes;
    }
}

}  // namespace offheap::addon
