#include "preload/unwind/capture.h"
#include "preload/unwind/common_step.h"
#include "preload/unwind/ending.h"
#include "preload/unwind/remembered_stack.h"
#include "preload/unwind/reuse.h"
#include "preload/unwind/rule_cache.h"
#include "preload/unwind/rule_compiler.h"

namespace offheap::unwind {
namespace {

// What the end of a walk depends on whose last step, from `root`, failed.
EndedBy ended_by(RuleKind kind, const Position& root, const StackMemory& memory) {
    switch (kind) {
        case RuleKind::end:
        case RuleKind::planted:
        case RuleKind::unsupported:
            return EndedBy::rule;
        case RuleKind::frame_pointer:
            if (!may_be_frame_pointer(root.rbp, root.rsp)) return EndedBy::rule;
            return memory.contains(root.rbp) && memory.contains(root.rbp + 8) ? EndedBy::frame_pointer
                                                                              : EndedBy::memory;
        default:
            return EndedBy::memory;
    }
}

// Out of the walk's loop, whose registers are all taken.
__attribute__((noinline)) bool prove(Reuse& reuse, const StackMemory& memory) { return reuse.prove(memory); }

}  // namespace

void RememberedStack::capture(const Registers& registers, StackWindow& window) {
    const uint64_t epoch = rule_cache.stacks_epoch();
    // The same call as last time, from the same place: nothing to walk, nothing to remember.
    if (repeats(exact_frame(registers.rip), registers.rsp, registers.rbp, window)) {
        unchanged_ = count_;
        return;
    }
    walk(*this, registers, window, epoch);
}

void RememberedStack::capture_after(const RememberedStack& last, const Registers& registers,
                                    StackWindow& window) {
    if (&last != this) reusable_ = 0;
    walk(last, registers, window, rule_cache.stacks_epoch());
}

// Walks to the first frame that is what it was, or to the end.
__attribute__((noinline)) void RememberedStack::walk(const RememberedStack& last, const Registers& registers,
                                                     StackWindow& window, uint64_t epoch) {
    constexpr int64_t kStride = sizeof(RememberedFrame) / sizeof(uint64_t);
    Walk walk(registers, window);
    const uint64_t rules_epoch = rule_cache.epoch();
    Position at{exact_frame(registers.rip), registers.rsp, registers.rbp, 0};
    RememberedFrame* const end = frames_ + capacity_;
    // New frames are written from the far end on, and moved when it is known how many older ones stay.
    RememberedFrame* next = end;
    uint32_t kept = 0;
    Ending ending;
    if (!walk.memory.enter(at.rsp)) {
        *--next = {at.frame, at.rsp, at.rbp, {Rule()}};
        ending.stop = Stop::unreadable_stack;
        return finish(kept, 0, next, ending, epoch);
    }
    at.high = walk.memory.high();
    const bool is_in_place = &last == this;
    Reuse reuse(last, epoch);
    uint64_t lowest = reuse.youngest()->rsp;
    for (;;) {
        if (at.rsp >= lowest) {
            const RememberedFrame* const overwritten = is_in_place ? next : last.frames_ + last.capacity_;
            if (reuse.meets(at.frame, at.rsp, at.rbp, overwritten) && prove(reuse, walk.memory)) {
                ending.stop = last.stop_;
                ending.is_thread_root = last.is_thread_root_;
                kept = reuse.count();
                if (!is_in_place && !take_over(last, kept, next)) {
                    kept = 0;
                    ending.stop = Stop::capacity;
                    break;
                }
                frames_[kept - 1].rbp = at.rbp;
                break;
            }
            lowest = reuse.youngest()->rsp;
        }
        Rule rule = rule_cache.find(at.frame, rules_epoch);
        if (__builtin_expect(rule.kind() == RuleKind::none, 0)) {
            if (!is_code(at.frame)) {
                const Stop stop = at.frame == 0 ? Stop::end_of_stack : Stop::no_unwind_info;
                ending = {stop, EndedBy::word, false, at.rsp, at.frame};
                break;
            }
            rule = rule_of(at.frame, rules_epoch);
        }
        *--next = {at.frame, at.rsp, at.rbp, {rule}};
        const auto walked = [&] {
            return WalkedFrames{&end[-1].frame, -kStride, static_cast<uint32_t>(end - next)};
        };
        if (!step(walk, rule, at, walked)) {
            ending = {walk.stop, ended_by(rule.kind(), at, walk.memory), rule.kind() == RuleKind::end, 0, 0};
            break;
        }
        if (next == frames_) {
            ending.stop = Stop::capacity;
            if (at.frame == 0) ending = {Stop::end_of_stack, EndedBy::word, false, at.rsp, 0};
            break;
        }
        at.frame = predicted_or(next[-1].frame, at.frame);
    }
    walk.memory.leave(ending.is_thread_root);
    finish(kept, last.labelled_, next, ending, epoch);
}

void RememberedStack::finish(uint32_t kept, uint32_t labelled, const RememberedFrame* next,
                             const Ending& ending, uint64_t epoch) {
    epoch_ = epoch;
    ++turn_;
    stop_ = ending.stop;
    is_thread_root_ = ending.is_thread_root;
    unchanged_ = kept;
    labelled_ = kept < labelled ? kept : labelled;
    remember(kept, static_cast<uint32_t>(next - frames_), ending);
}

}  // namespace offheap::unwind
