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
        const uint64_t hash = hash_of(start);
        Set& set = sets_[set_of(hash)];
        for (uint32_t way = 0; way < kWays; ++way) {
            if (set.starts[way] != start_of(hash) || set.places[way] == 0) continue;
            RememberedStack* const stack = &places_[set.places[way] - 1].stack;
            if (stack->repeats(start.frame, start.rsp, start.rbp, window)) {
                set.latest = static_cast<uint16_t>(way);
                return stack;
            }
        }
        return nullptr;
    }

    // Keeps a captured stack, if the thread was in it of late: most never come again, and to copy one takes
    // as long as to walk it. Null where it isn't kept.
    RememberedStack* keep(const CaptureStart& start, const RememberedStack& captured);

    void forget();

  private:
    // Some stacks may take turns in one place of the program.
    static constexpr uint32_t kWays = 4;
    static constexpr uint32_t kSetBits = 6;
    static constexpr uint32_t kStacks = kWays << kSetBits;
    static constexpr uint32_t kSeen = 8;

    // A cache line: that a stack is none of these shows without a look at them.
    struct alignas(64) Set {
        uint16_t places[kWays];  // of `places_`, plus one; 0: none
        uint16_t latest;         // the way that was found or taken last
        uint16_t next_seen;
        uint32_t starts[kWays];
        uint32_t seen[kSeen];  // labels of stacks that were captured of late and not kept
    };

    struct Place {
        RememberedStack stack;
        alignas(8) char memory[RememberedStack::bytes_for(kMostFrames)];
    };

    static uint64_t hash_of(const CaptureStart& start) {
        return (start.caller ^ start.rsp << 7) * 0x9e3779b97f4a7c15ULL;
    }
    static uint64_t set_of(uint64_t hash) { return hash >> (64 - kSetBits); }
    static uint32_t start_of(uint64_t hash) { return static_cast<uint32_t>(hash >> (32 - kSetBits)); }

    static bool was_seen(Set& set, uint32_t label);
    RememberedStack& place_in(Set& set, uint64_t hash);

    Set sets_[1u << kSetBits];
    uint64_t used_;  // of `places_`, in their order: few stacks take little memory
    Place places_[kStacks];
};

}  // namespace offheap::unwind
