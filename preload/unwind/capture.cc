#include "preload/unwind/capture.h"

#include "preload/unwind/rule_cache.h"
#include "preload/unwind/rule_compiler.h"
#include "preload/unwind/walk.h"

namespace offheap::unwind {
namespace {

constexpr uint8_t kFromRspSavingRbp = Rule::shape(RuleKind::from_rsp, RbpPlace::at_cfa);
constexpr uint8_t kFromRbpSavingRbp = Rule::shape(RuleKind::from_rbp, RbpPlace::at_cfa);

// Every step but the two common ones.
__attribute__((noinline, cold)) bool step_rarely(Walk& walk, Rule rule, const uint64_t* frames,
                                                 uint32_t count) {
    switch (rule.kind()) {
        case RuleKind::from_rsp:
        case RuleKind::from_rbp:
        case RuleKind::at_rsp:
        case RuleKind::at_rbp:
            return step_plain(walk, rule);
        case RuleKind::signal_frame:
            return step_signal_frame(walk, count);
        case RuleKind::frame_pointer:
            return step_frame_pointer(walk);
        case RuleKind::general:
            return step_general(walk, frames, count);
        case RuleKind::end:
        case RuleKind::planted:
            return walk.stop_for(Stop::end_of_stack);
        default:
            return walk.stop_for(Stop::unsupported_rule);
    }
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

}  // namespace

Capture capture(const Registers& registers, StackWindow& window, uint64_t* frames, uint32_t capacity) {
    Walk walk(registers, window);
    const uint64_t epoch = rule_cache.epoch();
    uint64_t frame = exact_frame(registers.rip);
    uint64_t rsp = registers.rsp;
    uint64_t rbp = registers.rbp;
    uint32_t count = 0;
    bool is_thread_root = false;
    if (!walk.memory.enter(rsp)) {
        frames[0] = frame;
        return {1, Stop::unreadable_stack};
    }
    uint64_t high = walk.memory.high();
    for (;;) {
        Rule rule = rule_cache.find(frame, epoch);
        if (__builtin_expect(rule.kind() == RuleKind::none, 0)) {
            // Here, not at every frame: what is no address has no cached rule.
            if (!is_code_address(frame & ~exact_frame(0))) {
                walk.stop = frame == 0 ? Stop::end_of_stack : Stop::no_unwind_info;
                break;
            }
            rule = rule_of(frame, epoch);
        }
        frames[count++] = frame;

        // The comparisons keep every read inside [rsp, high), which the window covers: fold_row has put the
        // return address and the saved rbp between the base register and the CFA.
        uint64_t caller;
        const auto cfa_offset = static_cast<uint64_t>(rule.cfa_offset_bytes());
        const auto rbp_offset = static_cast<uint64_t>(rule.rbp_offset_bytes());
        if (rule.kind() == RuleKind::from_rsp && rsp + cfa_offset <= high) {
            rsp += cfa_offset;
            caller = load(rsp - 8);
            if (rule.shape() == kFromRspSavingRbp) rbp = load(rsp + rbp_offset);
        } else if (rule.shape() == kFromRbpSavingRbp && rbp - rsp < high - rsp && rbp + cfa_offset <= high) {
            rsp = rbp + cfa_offset;
            caller = load(rsp - 8);
            rbp = load(rsp + rbp_offset);
        } else {
            walk.rsp = rsp;
            walk.rbp = rbp;
            if (!step_rarely(walk, rule, frames, count)) {
                is_thread_root = rule.kind() == RuleKind::end;
                break;
            }
            rsp = walk.rsp;
            rbp = walk.rbp;
            high = walk.memory.high();
            caller = walk.frame;
        }
        if (count == capacity) {
            walk.stop = caller == 0 ? Stop::end_of_stack : Stop::capacity;
            break;
        }
        frame = predicted_or(frames[count], caller);
    }
    walk.memory.leave(is_thread_root);
    return {count, walk.stop};
}

}  // namespace offheap::unwind
