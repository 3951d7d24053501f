// The stacks that a thread was in of late: where it comes back to one of them, from the same caller at the
// same depth, the whole stack is proven instead of being walked.
#pragma once

#include <stdint.h>

#include "preload/unwind/remembered_stack.h"

namespace offheap::unwind {

// Where a capture starts: a place in a function, and the function's return address.
struct CaptureStart {
    uint64_t frame;  // exact
    uint64_t rsp;
    uint64_t rbp;
    uint64_t caller;
};

// All zeros at first.
class RecurringStacks {
  public:
    // Deeper stacks are not for here.
    static constexpr uint32_t kMostFrames = 80;

    // What a capture from this start would give, null where that is not known without one.
    __attribute__((always_inline)) RememberedStack* find(const CaptureStart& start,
                                                         const StackWindow& window) {
        Set& set = sets_[set_of(start)];
        for (uint32_t way = 0; way < kWays; ++way) {
            RememberedStack* const stack = set.stacks[way];
            if (stack != nullptr && stack->repeats(start.frame, start.rsp, start.rbp, window)) {
                set.latest = way;
                return stack;
            }
        }
        return nullptr;
    }

    // Where to capture a stack of this start.
    RememberedStack& place_for(const CaptureStart& start);

    void forget();

  private:
    // Two stacks may take turns in one place of the program.
    static constexpr uint32_t kWays = 2;
    static constexpr uint32_t kSetBits = 6;
    static constexpr uint32_t kStacks = kWays << kSetBits;

    struct Set {
        RememberedStack* stacks[kWays];
        uint64_t latest;
    };

    struct Place {
        RememberedStack stack;
        alignas(8) char memory[RememberedStack::bytes_for(kMostFrames)];
    };

    static uint32_t set_of(const CaptureStart& start) {
        return static_cast<uint32_t>((start.caller ^ start.rsp << 7) * 0x9e3779b97f4a7c15ULL >>
                                     (64 - kSetBits));
    }

    Set sets_[1u << kSetBits];
    uint64_t used_;  // of `places_`, in their order: few stacks take little memory
    Place places_[kStacks];
};

}  // namespace offheap::unwind
