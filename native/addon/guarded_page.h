// One page of a file that somebody else may truncate at any time, mapped for atomic stores.
//
// A store behind the end of the file raises SIGBUS, and pwrite() promises no 8-byte atomicity to the target's
// threads: so each is under the guard of bus_guard.h, and one behind the end is reported as failed.
#pragma once

#include <stdint.h>

namespace offheap::addon {

class GuardedPage {
  public:
    GuardedPage() = default;
    GuardedPage(const GuardedPage&) = delete;
    GuardedPage& operator=(const GuardedPage&) = delete;
    ~GuardedPage() { unmap(); }

    // Maps the file's first page; false where the kernel refuses.
    bool map(int file);
    void unmap();
    bool mapped() const { return base_ != nullptr; }

    // Each is one atomic access at `offset_bytes`; false once the page has gone.
    bool store_release(uint64_t offset_bytes, uint64_t value);
    bool store_release(uint64_t offset_bytes, uint32_t value);
    bool load(uint64_t offset_bytes, uint32_t& value);
    bool or_release(uint64_t offset_bytes, uint64_t bits);
    // Where the word is `expected`, makes it `desired`; `expected` becomes what was found.
    bool compare_exchange(uint64_t offset_bytes, uint32_t& expected, uint32_t desired);
    bool compare_exchange(uint64_t offset_bytes, uint64_t& expected, uint64_t desired);

  private:
    template <typename Word>
    bool exchange(uint64_t offset_bytes, Word& expected, Word desired);
    template <typename Access>
    bool guarded(Access access);

    uint8_t* base_ = nullptr;
    bool gone_ = false;
};

}  // namespace offheap::addon
