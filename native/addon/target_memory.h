// The memory in which an allocator's blocks lie: another process's, or hand-made in tests.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <vector>

namespace offheap::addon {

class TargetMemory {
  public:
    virtual ~TargetMemory() = default;

    // Copies bytes whatever it takes; false where they can't be read.
    virtual bool read(uint64_t address, void* into, size_t bytes) = 0;

    // Copies the pages of [address, address + bytes) that are in memory; zeros stand for the others.
    virtual void read_resident(uint64_t address, uint8_t* into, size_t bytes) = 0;

    // Copies the first `bytes_each` of `count` pages from `address` on, one in `stride_pages`, as
    // `read_resident` does.
    virtual void read_page_starts(uint64_t address, size_t count, size_t stride_pages, uint8_t* into,
                                  size_t bytes_each) = 0;

    // Sets, for each of `pages` pages from `address` on, 1 where it is in memory and 0 where not.
    virtual void find_resident(uint64_t address, size_t pages, uint8_t* is_resident) = 0;
};

// Memory of a running process. Nothing in it changes by being looked at: `read_resident` leaves pages that
// are swapped out or were never touched as they are, where plain reading would bring them in or map the zero
// page.
class ProcessMemory final : public TargetMemory {
  public:
    explicit ProcessMemory(int process_id);
    ProcessMemory(const ProcessMemory&) = delete;
    ProcessMemory& operator=(const ProcessMemory&) = delete;
    ~ProcessMemory() override;

    // Why the process can't be read: ESRCH, it has ended; EPERM, it is not ours to examine; else 0.
    int refusal() const { return refusal_; }

    bool read(uint64_t address, void* into, size_t bytes) override;
    void read_resident(uint64_t address, uint8_t* into, size_t bytes) override;
    void read_page_starts(uint64_t address, size_t count, size_t stride_pages, uint8_t* into,
                          size_t bytes_each) override;
    void find_resident(uint64_t address, size_t pages, uint8_t* is_resident) override;

  private:
    void load_entries(uint64_t first_page, uint64_t pages);
    bool is_resident(uint64_t index) const;

    int process_id_;
    int page_map_;
    int refusal_ = 0;
    std::vector<uint64_t> entries_;
};

}  // namespace offheap::addon
