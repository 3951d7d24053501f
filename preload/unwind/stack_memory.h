// The stack under a walk: which of its addresses can be read without a fault.
#pragma once

#include <stdint.h>

#include "preload/unwind/capture.h"

namespace offheap::unwind {

// True if the page of the address can be read. Asks the kernel: about 140 ns.
bool is_readable(uint64_t address);

// Reads a word of the stack. The address must lie in a window. (Sanitizers would object to reading red
// zones.)
__attribute__((no_sanitize("address", "undefined"))) inline uint64_t load(uint64_t address) {
    return *reinterpret_cast<const volatile uint64_t*>(address);
}

// A word, and what was read there.
struct ReadWord {
    uint64_t address;
    uint64_t value;
};

inline bool is_as_read(const ReadWord& word) { return load(word.address) == word.value; }

// The window in use, which grows toward the root as the walk goes. `home` is the thread's window between
// captures: the walk works on a copy, so a signal handler that captures in the middle finds `home` whole.
class StackMemory {
  public:
    explicit StackMemory(StackWindow& home) : home_(home) {}

    uint64_t high() const { return window_.high; }

    // Whether the eight bytes at the address are known to be readable.
    bool contains(uint64_t address) const { return address - window_.low <= window_.high - window_.low - 8; }

    // Starts on the stack that `rsp` lies on. False if that cannot be read.
    bool enter(uint64_t rsp) {
        if (__builtin_expect(enter_home(rsp), 1)) return true;
        return enter_unknown(rsp);
    }

    // The same if it is the thread's own stack, as deep as it is known; else false.
    bool enter_home(uint64_t rsp) {
        is_home_ = rsp >= home_.low && rsp < home_.high;
        if (is_home_) window_ = home_;
        return is_home_;
    }

    // Starts on the stack that a signal interrupted: this one or another.
    bool enter_interrupted(uint64_t rsp);

    // True if the eight bytes at the address can be read; grows the window by up to a mebibyte.
    bool reach(uint64_t address) {
        if (__builtin_expect(contains(address), 1)) return true;
        return grow(address);
    }

    // Like `reach`, for the word below a caller's frame. Where the callee's frame takes megabytes, a new
    // window starts behind it, since probing all of it would take longer than the walk; the callee's own
    // words are out of reach then.
    bool advance(uint64_t address) { return reach(address) || skip_to(address); }

    // Ends the walk. The window becomes the thread's if that has none yet, or if the walk came to the
    // thread's first function: so it is the thread's own stack that stays known, not an alternate stack or a
    // coroutine's.
    void leave(bool is_thread_root) {
        if (home_.low != window_.low || home_.high != window_.high) leave_changed(is_thread_root);
    }

  private:
    void leave_changed(bool is_thread_root);
    bool enter_unknown(uint64_t rsp);
    bool grow(uint64_t address);
    bool skip_to(uint64_t address);

    StackWindow& home_;
    StackWindow window_{};
    bool is_home_ = false;
};

}  // namespace offheap::unwind
