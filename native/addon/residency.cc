#include "native/addon/residency.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

namespace offheap::addon {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kUserEnd = 0x7fff'ffff'f000ULL;

// The kernel's interface (linux/fs.h, from 6.7 on), declared here because build machines have older headers.
struct ScannedRegion {
    uint64_t start, end, categories;
};
struct ScanRequest {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
constexpr uint64_t kPresent = 1 << 3;
constexpr uint64_t kSwapped = 1 << 4;
constexpr uint64_t kZeroPage = 1 << 5;
constexpr unsigned long kScan = _IOWR('f', 16, ScanRequest);

// Bits of a pagemap entry.
constexpr uint64_t kEntryPresent = 1ULL << 63;
constexpr uint64_t kEntrySwapped = 1ULL << 62;

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

Residency PageMap::measure(uint64_t start, uint64_t end) {
    start &= ~(kPageBytes - 1);
    end = std::min((end + kPageBytes - 1) & ~(kPageBytes - 1), kUserEnd);
    Residency sum;
    if (start >= end) return sum;
    if (can_scan_ && scan(start, end, sum)) return sum;
    can_scan_ = false;
    sum = {};
    read_entries(start, end, sum);
    return sum;
}

bool PageMap::scan(uint64_t start, uint64_t end, Residency& sum) {
    ScannedRegion regions[256];
    ScanRequest request = {};
    request.size = sizeof request;
    request.end = end;
    request.vec = reinterpret_cast<uint64_t>(regions);
    request.vec_len = sizeof regions / sizeof regions[0];
    // "Not the zero page, and present or swapped".
    request.category_inverted = kZeroPage;
    request.category_mask = kZeroPage;
    request.category_anyof_mask = kPresent | kSwapped;
    request.return_mask = kPresent | kSwapped;
    while (start < end) {
        request.start = start;
        request.walk_end = 0;
        const int count = ioctl(file_, kScan, &request);
        if (count < 0) {
            if (errno == EINTR) continue;
            // The process has ended: nothing is resident any more.
            return errno == ESRCH;
        }
        for (int i = 0; i < count; ++i) {
            const uint64_t bytes = regions[i].end - regions[i].start;
            ((regions[i].categories & kPresent) != 0 ? sum.resident_bytes : sum.swap_bytes) += bytes;
        }
        if (request.walk_end <= start) break;
        start = request.walk_end;
    }
    return true;
}

void PageMap::read_entries(uint64_t start, uint64_t end, Residency& sum) const {
    uint64_t entries[512];
    while (start < end) {
        const uint64_t wanted = std::min<uint64_t>((end - start) / kPageBytes, 512);
        const ssize_t got = pread(file_, entries, wanted * sizeof entries[0],
                                  static_cast<off_t>(start / kPageBytes * sizeof entries[0]));
        if (got < 0 && errno == EINTR) continue;
        if (got < static_cast<ssize_t>(sizeof entries[0])) return;
        const uint64_t count = static_cast<uint64_t>(got) / sizeof entries[0];
        for (uint64_t i = 0; i < count; ++i) {
            if ((entries[i] & kEntryPresent) != 0) sum.resident_bytes += kPageBytes;
            if ((entries[i] & kEntrySwapped) != 0) sum.swap_bytes += kPageBytes;
        }
        start += count * kPageBytes;
    }
}

}  // namespace offheap::addon
