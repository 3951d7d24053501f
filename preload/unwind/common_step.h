// The step that nearly all frames take, in the loops that walk a stack.
#pragma once

#include "preload/unwind/walk.h"

namespace offheap::unwind {

// Where a walk stands. Held in registers by the loops: `Walk` has copies for the rarer steps.
struct Position {
    uint64_t frame;  // as in capture()'s output
    uint64_t rsp;
    uint64_t rbp;
    uint64_t high;  // the window's end
};

// Takes `at` to the caller of a frame with this rule. `walked` gives the frames so far, this one included.
// False at the end, with the reason in `walk.stop`.
template <typename Walked>
__attribute__((always_inline)) inline bool step(Walk& walk, Rule rule, Position& at, const Walked& walked) {
    constexpr uint8_t kFromRspSavingRbp = Rule::shape(RuleKind::from_rsp, RbpPlace::at_cfa);
    constexpr uint8_t kFromRbpSavingRbp = Rule::shape(RuleKind::from_rbp, RbpPlace::at_cfa);
    // The comparisons keep every read inside [rsp, high), which the window covers: fold_row has put the
    // return address and the saved rbp between the base register and the CFA.
    const auto cfa_offset = static_cast<uint64_t>(rule.cfa_offset_bytes());
    const auto rbp_offset = static_cast<uint64_t>(rule.rbp_offset_bytes());
    if (rule.kind() == RuleKind::from_rsp && at.rsp + cfa_offset <= at.high) {
        at.rsp += cfa_offset;
        at.frame = load(at.rsp - 8);
        if (rule.shape() == kFromRspSavingRbp) at.rbp = load(at.rsp + rbp_offset);
        return true;
    }
    if (rule.shape() == kFromRbpSavingRbp && at.rbp - at.rsp < at.high - at.rsp &&
        at.rbp + cfa_offset <= at.high) {
        at.rsp = at.rbp + cfa_offset;
        at.frame = load(at.rsp - 8);
        at.rbp = load(at.rsp + rbp_offset);
        return true;
    }
    walk.rsp = at.rsp;
    walk.rbp = at.rbp;
    if (!step_rarely(walk, rule, walked())) return false;
    at = {walk.frame, walk.rsp, walk.rbp, walk.memory.high()};
    return true;
}

// Equal to `actual`, but known earlier where the prediction is right: the branch lets the processor look up
// the next rule before the stack's word has arrived. The empty statements keep the compiler from seeing that
// both arms are equal and from choosing without a branch.
inline uint64_t predicted_or(uint64_t prediction, uint64_t actual) {
    uint64_t result = prediction;
    __asm__("" : "+r"(result));
    if (__builtin_expect(prediction != actual, 0)) {
        result = actual;
        __asm__ volatile("" : "+r"(result));
    }
    return result;
}

}  // namespace offheap::unwind
