// How much of an address range is in memory or in swap, and of which sort, as the kernel's page tables say.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <vector>

#include "native/addon/address_range.h"

namespace offheap::addon {

// Bytes of a range's pages, without the shared pages of zeros, as RSS counts.
struct PageBytes {
    // Pages that are no file's: anonymous memory, private copies of a file's pages. Where memory can't be
    // anonymous (shared or device mappings), pages that the kernel does not manage and does not count as
    // resident.
    uint64_t anonymous = 0;
    uint64_t file = 0;  // of files and of shared memory
    uint64_t swap = 0;  // of anonymous memory; shared memory in swap is not seen
    uint64_t huge = 0;  // the part of `anonymous` and `file` that is mapped by huge pages

    uint64_t resident() const { return anonymous + file; }
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
    PageBytes measure(uint64_t start, uint64_t end);

    // Of many ranges at once, by address and apart from one another, in few calls. Returns the bytes that are
    // resident between them: mapped since the ranges were read. Entries say nothing of that.
    uint64_t sweep(const std::vector<AddressRange>& ranges, std::vector<PageBytes>& bytes);

    // Reads entries even where the kernel could scan: for tests.
    void use_entries() { can_scan_ = false; }

  private:
    struct Region {
        uint64_t start, end, categories;
    };
    static constexpr int kRegions = 512;

    int scan(uint64_t start, uint64_t end, Region* regions, uint64_t& walked_to);
    bool scan_all(const std::vector<AddressRange>& ranges, std::vector<PageBytes>& bytes, uint64_t& between);
    void read_entries(uint64_t start, uint64_t end, PageBytes& sum);
    static bool finds_huge_zeros();
    void add_memory_alone(uint64_t start, uint64_t end, PageBytes& sum);

    int file_;
    int open_errno_ = 0;
    bool can_scan_ = true;
    bool knows_guards_ = true;
};

}  // namespace offheap::addon
