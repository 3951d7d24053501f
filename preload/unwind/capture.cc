#include "preload/unwind/capture.h"

#include "preload/unwind/common_step.h"
#include "preload/unwind/rule_cache.h"
#include "preload/unwind/rule_compiler.h"
#include "preload/unwind/walk.h"

namespace offheap::unwind {

Capture capture(const Registers& registers, StackWindow& window, uint64_t* frames, uint32_t capacity) {
    Walk walk(registers, window);
    const uint64_t epoch = rule_cache.epoch();
    Position at{exact_frame(registers.rip), registers.rsp, registers.rbp, 0};
    uint32_t count = 0;
    bool is_thread_root = false;
    if (!walk.memory.enter(at.rsp)) {
        frames[0] = at.frame;
        return {1, Stop::unreadable_stack};
    }
    at.high = walk.memory.high();
    for (;;) {
        Rule rule = rule_cache.find(at.frame, epoch);
        if (__builtin_expect(rule.kind() == RuleKind::none, 0)) {
            // Here, not at every frame: what is no address has no cached rule.
            if (!is_code(at.frame)) {
                walk.stop = at.frame == 0 ? Stop::end_of_stack : Stop::no_unwind_info;
                break;
            }
            rule = rule_of(at.frame, epoch);
        }
        frames[count++] = at.frame;
        if (!step(walk, rule, at, [&] { return WalkedFrames{frames, 1, count}; })) {
            is_thread_root = rule.kind() == RuleKind::end;
            break;
        }
        if (count == capacity) {
            walk.stop = at.frame == 0 ? Stop::end_of_stack : Stop::capacity;
            break;
        }
        at.frame = predicted_or(frames[count], at.frame);
    }
    walk.memory.leave(is_thread_root);
    return {count, walk.stop};
}

}  // namespace offheap::unwind
