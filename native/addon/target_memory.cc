#include "native/addon/target_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

namespace offheap::addon {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kEntryPresent = 1ULL << 63;
// The kernel takes 1024 at once (IOV_MAX).
constexpr size_t kPiecesPerCall = 512;

ssize_t copy(int process_id, uint64_t address, void* into, size_t bytes) {
    const iovec local = {into, bytes};
    const iovec remote = {reinterpret_cast<void*>(address), bytes};
    return process_vm_readv(process_id, &local, 1, &remote, 1, 0);
}

}  // namespace

ProcessMemory::ProcessMemory(int process_id) : process_id_(process_id) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/pagemap", process_id);
    page_map_ = open(path, O_RDONLY | O_CLOEXEC);
    // No process has its first page mapped: the errors that come before the look at the address are what is
    // asked for.
    char byte = 0;
    if (copy(process_id, 0, &byte, 1) < 0 && errno != EFAULT) refusal_ = errno;
}

ProcessMemory::~ProcessMemory() {
    if (page_map_ >= 0) close(page_map_);
}

bool ProcessMemory::read(uint64_t address, void* into, size_t bytes) {
    return copy(process_id_, address, into, bytes) == static_cast<ssize_t>(bytes);
}

void ProcessMemory::read_resident(uint64_t address, uint8_t* into, size_t bytes) {
    const uint64_t first_page = address / kPageBytes;
    const uint64_t pages = (address + bytes + kPageBytes - 1) / kPageBytes - first_page;
    memset(into, 0, bytes);
    load_entries(first_page, pages);
    for (uint64_t page = 0; page < pages;) {
        uint64_t end = page;
        while (end < pages && is_resident(end)) ++end;
        if (end == page) {
            ++page;
            continue;
        }
        const uint64_t from = std::max(address, (first_page + page) * kPageBytes);
        const uint64_t to = std::min(address + bytes, (first_page + end) * kPageBytes);
        copy(process_id_, from, into + (from - address), to - from);
        page = end;
    }
}

void ProcessMemory::read_page_starts(uint64_t address, size_t count, size_t stride_pages, uint8_t* into,
                                     size_t bytes_each) {
    memset(into, 0, count * bytes_each);
    load_entries(address / kPageBytes, count * stride_pages);
    iovec local[kPiecesPerCall];
    iovec remote[kPiecesPerCall];
    size_t pieces = 0;
    for (size_t i = 0; i < count; ++i) {
        if (is_resident(i * stride_pages)) {
            local[pieces] = {into + i * bytes_each, bytes_each};
            remote[pieces++] = {reinterpret_cast<void*>(address + i * stride_pages * kPageBytes), bytes_each};
        }
        if (pieces == kPiecesPerCall || (i + 1 == count && pieces > 0)) {
            process_vm_readv(process_id_, local, pieces, remote, pieces, 0);
            pieces = 0;
        }
    }
}

void ProcessMemory::find_resident(uint64_t address, size_t pages, uint8_t* is_resident) {
    load_entries(address / kPageBytes, pages);
    for (size_t page = 0; page < pages; ++page) is_resident[page] = this->is_resident(page) ? 1 : 0;
}

void ProcessMemory::load_entries(uint64_t first_page, uint64_t pages) {
    entries_.assign(pages, 0);
    const ssize_t got = page_map_ < 0 ? -1
                                      : pread(page_map_, entries_.data(), pages * sizeof entries_[0],
                                              static_cast<off_t>(first_page * sizeof entries_[0]));
    // Without a page map nobody can tell which pages are absent: all are read.
    if (got < 0) std::fill(entries_.begin(), entries_.end(), kEntryPresent);
}

bool ProcessMemory::is_resident(uint64_t index) const { return (entries_[index] & kEntryPresent) != 0; }

}  // namespace offheap::addon
