// How much of an address range is in memory or in swap, as the kernel's page tables say.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace offheap::addon {

struct Residency {
    uint64_t resident_bytes = 0;  // mapped pages, without the shared zero page, as RSS counts
    uint64_t swap_bytes = 0;
};

// Asks for ranges of one process. Uses PAGEMAP_SCAN (Linux 6.7), else the entries of /proc/PID/pagemap.
class PageMap {
  public:
    explicit PageMap(int process_id);
    PageMap(const PageMap&) = delete;
    PageMap& operator=(const PageMap&) = delete;
    ~PageMap();

    // Else `open_errno` says why: ENOENT, no such process; EACCES or EPERM, not ours to examine.
    bool is_open() const { return file_ >= 0; }
    int open_errno() const { return open_errno_; }

    // Of [start, end); bytes behind the end of user space or unmapped count as nothing.
    Residency measure(uint64_t start, uint64_t end);

    // Reads entries even where the kernel could scan: for tests.
    void use_entries() { can_scan_ = false; }

  private:
    bool scan(uint64_t start, uint64_t end, Residency& sum);
    void read_entries(uint64_t start, uint64_t end, Residency& sum) const;

    int file_;
    int open_errno_ = 0;
    bool can_scan_ = true;
};

}  // namespace offheap::addon
