// One walk up a stack, and its rarer steps. The two common ones (CFA from rsp, CFA from rbp) are in
// common_step.h.
//
// A step takes the walk from a frame to its caller, or returns false with the reason in `stop`.
#pragma once

#include "preload/unwind/capture.h"
#include "preload/unwind/rule.h"
#include "preload/unwind/stack_memory.h"

namespace offheap::unwind {

// Nested signals on alternate stacks are few; a forged or damaged chain of signal frames may be a circle.
inline constexpr uint16_t kMaxStackSwitches = 32;

// `general` steps walk again from the leaf, to learn what rbx and r12 … r15 are: a stack may have some, not
// thousands.
inline constexpr uint32_t kMaxFramesWalkedAgain = 10'000;

// The frames that a walk has passed, leaf first, wherever its loop keeps them.
struct WalkedFrames {
    const uint64_t* leaf;
    int64_t stride;  // 1 or -1
    uint32_t count;

    uint64_t operator[](uint32_t i) const { return leaf[stride * int64_t{i}]; }
};

struct Walk {
    Walk(const Registers& registers, StackWindow& window)
        : rsp(registers.rsp), rbp(registers.rbp), memory(window), leaf(registers) {}

    uint64_t frame = 0;  // as in capture()'s output
    uint64_t rsp;
    uint64_t rbp;
    StackMemory memory;
    const Registers& leaf;
    // The last signal frame: it holds all registers of the frame that it interrupted,
    // `walked[interrupted_index]`.
    uint64_t ucontext = 0;
    uint32_t interrupted_index = 0;
    uint32_t frames_walked_again = 0;
    uint16_t stack_switches = 0;
    Stop stop = Stop::end_of_stack;

    bool stop_for(Stop reason) {
        stop = reason;
        return false;
    }
};

// Rules of the kinds at_rsp and at_rbp, and those from_rsp and from_rbp that leave the window.
bool step_plain(Walk& walk, Rule rule);

// Into the frame that a signal interrupted, on whatever stack that ran. `count` frames were walked so far.
bool step_signal_frame(Walk& walk, uint32_t count);

// Whether a step by the frame pointer would follow it at all.
inline bool may_be_frame_pointer(uint64_t rbp, uint64_t rsp) {
    constexpr uint64_t kMaxGuessedFrameBytes = 1 << 20;
    return rbp % 8 == 0 && rbp >= rsp && rbp - rsp <= kMaxGuessedFrameBytes;
}

// By the frame pointer, in code without unwind information.
bool step_frame_pointer(Walk& walk);

// By the whole row of the frame walked last.
bool step_general(Walk& walk, WalkedFrames walked);

// Any of them, and the ends of stacks.
bool step_rarely(Walk& walk, Rule rule, WalkedFrames walked);

// The rule of a frame: cached, or compiled and cached.
Rule rule_of(uint64_t frame, uint64_t epoch);

}  // namespace offheap::unwind
