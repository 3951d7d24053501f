#include "preload/unwind/capture.h"
#include "preload/unwind/common_step.h"
#include "preload/unwind/remembered_stack.h"
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

}  // namespace

void RememberedStack::capture(const Registers& registers, StackWindow& window) {
    const uint64_t epoch = rule_cache.stacks_epoch();
    // The same call as last time, from the same place: nothing to walk, nothing to remember.
    StackMemory memory(window);
    if (memory.enter_home(registers.rsp)) {
        Reuse reuse(*this, epoch);
        if (reuse.candidates() == count_ && count_ > 0 &&
            reuse.is_youngest(exact_frame(registers.rip), registers.rsp, registers.rbp) &&
            reuse.prove(memory)) {
            unchanged_ = count_;
            return;
        }
    }
    walk(registers, window, epoch);
}

// Walks to the first frame that is what it was, or to the end.
__attribute__((noinline)) void RememberedStack::walk(const Registers& registers, StackWindow& window,
                                                     uint64_t epoch) {
    Walk walk(registers, window);
    const uint64_t rules_epoch = rule_cache.epoch();
    Position at{exact_frame(registers.rip), registers.rsp, registers.rbp, 0};
    const uint32_t capacity = capacity_;
    uint64_t* const frames = frames_;
    uint64_t* const stack_pointers = stack_pointers_;
    uint64_t* const frame_pointers = frame_pointers_;
    Rule* const rules = rules_;
    if (!walk.memory.enter(at.rsp)) {
        frames[0] = at.frame;
        reusable_ = 0;
        count_ = 1;
        unchanged_ = 0;
        stop_ = Stop::unreadable_stack;
        return;
    }
    at.high = walk.memory.high();
    Reuse reuse(*this, epoch);
    uint64_t lowest = reuse.lowest();
    // New frames are written from the far end on, and moved when it is known how many older ones stay.
    uint32_t next = capacity;
    uint32_t kept = 0;
    Ending ending;
    for (;;) {
        if (at.rsp >= lowest) {
            if (reuse.meets(at.frame, at.rsp, at.rbp, next, walk.memory)) {
                kept = reuse.candidates();
                frame_pointers[kept - 1] = at.rbp;
                ending.stop = stop_;
                ending.is_thread_root = is_thread_root_;
                break;
            }
            lowest = reuse.lowest();
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
        --next;
        frames[next] = at.frame;
        stack_pointers[next] = at.rsp;
        frame_pointers[next] = at.rbp;
        rules[next] = rule;
        if (!step(walk, rule, at, [&] { return WalkedFrames{frames + capacity - 1, -1, capacity - next}; })) {
            ending = {walk.stop, ended_by(rule.kind(), at, walk.memory), rule.kind() == RuleKind::end, 0, 0};
            break;
        }
        if (next == 0) {
            ending.stop = Stop::capacity;
            if (at.frame == 0) ending = {Stop::end_of_stack, EndedBy::word, false, at.rsp, 0};
            break;
        }
        at.frame = predicted_or(frames[next - 1], at.frame);
    }
    walk.memory.leave(ending.is_thread_root);
    epoch_ = epoch;
    stop_ = ending.stop;
    is_thread_root_ = ending.is_thread_root;
    unchanged_ = kept;
    remember(kept, next, ending);
}

}  // namespace offheap::unwind
