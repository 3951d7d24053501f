// The code between a rewritten instruction and the trampoline, one page for each module, within reach of its
// jumps.
#pragma once

#include <stdint.h>

namespace offheap::hook {

enum class StubKind : uint8_t {
    kKnown,    // the instruction before says which call it is
    kGeneric,  // libc's syscall(): any number may arrive, and the uninteresting ones go straight to the
               // kernel
    kGo,       // as kKnown, but on a goroutine's stack the call goes straight to the kernel
};

class StubPage {
  public:
    // Maps the page within ±2 GiB of `near`; false when the kernel has no room or refuses.
    bool map(uint64_t near);

    // Writes a stub that continues at `resume`, the address behind the instruction. 0 when the page is full.
    uint64_t add(StubKind kind, uint64_t resume);

    // A stub for two sites: the one that asks for `number` continues at `resume`, any other goes on to
    // `otherwise`.
    uint64_t add_shared(StubKind kind, uint32_t number, uint64_t resume, uint64_t otherwise);

    // Makes the page executable and no longer writable; false when the kernel refuses.
    bool seal();

    uint64_t address() const { return address_; }

  private:
    uint8_t* put(const void* bytes, uint32_t count);
    uint8_t* put_relative(uint64_t target);

    uint64_t address_ = 0;
    uint8_t* at_ = nullptr;
};

}  // namespace offheap::hook
