#include "preload/unwind/stack_memory.h"

#include <asm/unistd_64.h>

#include "preload/unwind/registers.h"

namespace offheap::unwind {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kMaxGapBytes = 1 << 20;  // probed page by page
constexpr uint64_t kMaxInterruptedFrameBytes = 64 << 10;
constexpr uint64_t kSavedRegistersBytes = 128;
constexpr uint64_t kMaxFrameBytes = 256ull << 20;  // a larger frame is nonsense rather than an array
constexpr long kEinval = -22;

uint64_t page_of(uint64_t address) { return address & ~(kPageBytes - 1); }

}  // namespace

bool is_readable(uint64_t address) {
    const uint64_t page = page_of(address);
    if (page == 0 || page >= kUserEnd) return false;  // a null set would be no set, hence no error
    // rt_sigprocmask copies the new set in before it looks at `how`: -EFAULT if it can't be read, -EINVAL for
    // the nonsensical `how` if it can. It changes nothing either way, and no sandbox denies it.
    long result = __NR_rt_sigprocmask;
    register uint64_t old_set __asm__("rdx") = 0;
    register uint64_t set_bytes __asm__("r10") = 8;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(~uint64_t{0}), "S"(page), "r"(old_set), "r"(set_bytes)
                     : "rcx", "r11", "memory");
    return result == kEinval;
}

bool StackMemory::enter_unknown(uint64_t rsp) {
    const uint64_t page = page_of(rsp);
    window_ = {page, page};
    if (!is_readable(rsp)) return false;
    window_.high = page + kPageBytes;
    return true;
}

bool StackMemory::enter_interrupted(uint64_t rsp) {
    const bool is_near = rsp >= window_.low && rsp < window_.high + kMaxInterruptedFrameBytes;
    return (is_near && reach(rsp)) || enter(rsp);
}

bool StackMemory::skip_to(uint64_t address) {
    if (address < window_.high + kMaxGapBytes || address - window_.high > kMaxFrameBytes) return false;
    // Registers are saved right below the return address, perhaps a page below.
    const uint64_t saved_registers = address - kSavedRegistersBytes;
    return is_readable(saved_registers) && is_readable(address) && enter(saved_registers) && reach(address);
}

bool StackMemory::grow(uint64_t address) {
    if (address < window_.low || address >= kUserEnd) return false;
    const uint64_t end = page_of(address + 8 + kPageBytes - 1);
    if (end > window_.high && end - window_.high > kMaxGapBytes) return false;
    while (window_.high < end) {
        if (!is_home_ && window_.high == home_.low && home_.low < home_.high) {
            window_.high = home_.high;  // the thread's stack, deeper than it was
            is_home_ = true;
            continue;
        }
        if (!is_readable(window_.high)) return false;
        window_.high += kPageBytes;
    }
    return true;
}

void StackMemory::leave_changed(bool is_thread_root) {
    if (!is_home_ && !is_thread_root && home_.high != 0) return;
    // Empty in between: a signal handler must not see one stack's low end with another's high end.
    __atomic_store_n(&home_.high, 0, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&home_.low, window_.low, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&home_.high, window_.high, __ATOMIC_RELAXED);
}

}  // namespace offheap::unwind
