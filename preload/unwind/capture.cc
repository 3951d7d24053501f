#include "preload/unwind/capture.h"

#include "preload/unwind/rule_cache.h"
#include "preload/unwind/rule_compiler.h"
#include "preload/unwind/walk.h"

namespace offheap::unwind {
namespace {

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

// Equal to `actual`, but known earlier where the prediction is right: the branch lets the processor look up the next
// rule before the stack's word has arrived. The empty statements keep the compiler from seeing that both arms are equal
// and from choosing without a branch.
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
        if (__builtin_expect(rule.kind() == RuleKind::none, 0)) rule = rule_of(frame, epoch);
        frames[count++] = frame;

        // The checks keep every read inside [rsp, high), which the window covers. See fold_row for from_rsp.
        uint64_t actual;
        const auto cfa_offset = static_cast<uint64_t>(rule.cfa_offset_bytes());
        const auto rbp_offset = static_cast<uint64_t>(rule.rbp_offset_bytes());
        if (rule.kind() == RuleKind::from_rsp && rsp + cfa_offset <= high) {
            rsp += cfa_offset;
            actual = load(rsp - 8);
            if (rule.rbp_place() == RbpPlace::at_cfa) rbp = load(rsp + rbp_offset);
        } else if (rule.kind() == RuleKind::from_rbp && rule.rbp_place() == RbpPlace::at_cfa &&
                   rbp + cfa_offset <= high && rbp + cfa_offset >= rsp + 8 &&
                   rbp + cfa_offset + rbp_offset >= rsp && rbp + cfa_offset + rbp_offset <= high - 8) {
            rsp = rbp + cfa_offset;
            actual = load(rsp - 8);
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
            actual = walk.frame;
        }

        if (__builtin_expect(!is_code_address(actual & ~exact_frame(0)), 0)) {
            walk.stop = actual == 0 ? Stop::end_of_stack : Stop::no_unwind_info;
            break;
        }
        if (count == capacity) {
            walk.stop = Stop::capacity;
            break;
        }
        frame = predicted_or(frames[count], actual);
    }
    walk.memory.leave(is_thread_root);
    return {count, walk.stop};
}

}  // namespace offheap::unwind
