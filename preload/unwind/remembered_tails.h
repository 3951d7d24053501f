// The leaf ends of stacks that a thread was in of late: where it comes back to one of them, from the same
// caller at the same depth, the frames are proven and put back instead of being walked.
//
// A tail was walked from its leaf's registers to its joint, a frame of the stack remembered before. The walk
// is a function of these registers and of the words it read. So where those are the same, and the remembered
// stack holds the joint with the same registers, the whole of it is what a walk would find.
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

class RememberedTails {
  public:
    // Puts the tail of this start behind its joint. True: `stack` is what a capture would give, its leaf
    // frames' labels stand in `labels`, which holds those of the remembered frames. A label stands for a
    // frame and all older ones. False: `stack` may remember less.
    bool restore(RememberedStack& stack, const StackWindow& window, const CaptureStart& start,
                 uint32_t* labels, uint32_t label_count) const;

    // Keeps the leaf frames of the last capture, those that it had to walk.
    void keep(const RememberedStack& stack, const CaptureStart& start, const uint32_t* labels);

    void forget() {
        for (Tail& tail : tails_) tail.rsp = 0;
    }

  private:
    static constexpr uint32_t kTails = 64;
    static constexpr uint32_t kMostFrames = 14;
    static constexpr uint32_t kMostWords = 10;

    struct Tail {
        uint64_t caller;
        uint64_t rsp;  // of the leaf; 0: there is no tail
        uint64_t epoch;
        uint64_t joint_rsp;
        uint64_t joint_rbp;
        uint64_t joint_mark;
        uint32_t joint_label;
        uint32_t joint_count;  // frames up to the joint, that one included
        uint32_t frame_count;
        uint32_t word_count;
        RememberedFrame frames[kMostFrames];
        ReadWord words[kMostWords];
        uint32_t labels[kMostFrames];
    };

    static uint32_t slot_of(const CaptureStart& start) {
        return static_cast<uint32_t>((start.caller ^ start.rsp << 7) * 0x9e3779b97f4a7c15ULL >> 58);
    }
    static_assert(kTails == 1u << (64 - 58));

    Tail tails_[kTails];
};

}  // namespace offheap::unwind
