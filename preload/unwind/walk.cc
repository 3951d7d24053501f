#include "preload/unwind/walk.h"

#include "preload/unwind/rule_cache.h"
#include "preload/unwind/rule_compiler.h"

namespace offheap::unwind {

Rule rule_of(uint64_t frame, uint64_t epoch) {
    const Rule cached = rule_cache.find(frame, epoch);
    if (cached.kind() != RuleKind::none) return cached;
    const CompiledRule compiled = compile_rule(frame);
    if (compiled.is_lasting) rule_cache.insert(frame, epoch, compiled.rule);
    return compiled.rule;
}

bool step_plain(Walk& walk, Rule rule) {
    const bool is_from_rsp = rule.kind() == RuleKind::from_rsp || rule.kind() == RuleKind::at_rsp;
    uint64_t cfa = (is_from_rsp ? walk.rsp : walk.rbp) + static_cast<uint64_t>(rule.cfa_offset_bytes());
    if (rule.kind() == RuleKind::at_rsp || rule.kind() == RuleKind::at_rbp) {
        if (!walk.memory.reach(cfa)) return walk.stop_for(Stop::unreadable_stack);
        cfa = load(cfa) + static_cast<uint64_t>(rule.addend_bytes());
    }
    if (cfa < walk.rsp + 8) return walk.stop_for(Stop::no_progress);
    if (!walk.memory.advance(cfa - 8)) return walk.stop_for(Stop::unreadable_stack);
    if (rule.rbp_place() != RbpPlace::same) {
        const uint64_t base = rule.rbp_place() == RbpPlace::at_cfa ? cfa : walk.rbp;
        const uint64_t slot = base + static_cast<uint64_t>(rule.rbp_offset_bytes());
        if (!walk.memory.reach(slot)) return walk.stop_for(Stop::unreadable_stack);
        walk.rbp = load(slot);
    }
    walk.frame = load(cfa - 8);
    walk.rsp = cfa;
    return true;
}

bool step_signal_frame(Walk& walk, uint32_t count) {
    const uint64_t ucontext = walk.rsp;
    // The slots of the general registers lie between these two; step_general relies on them all being
    // readable.
    if (!walk.memory.reach(ucontext + ucontext_offset_bytes(8)) ||
        !walk.memory.reach(ucontext + ucontext_offset_bytes(kDwarfRip))) {
        return walk.stop_for(Stop::unreadable_stack);
    }
    const uint64_t rip = load(ucontext + ucontext_offset_bytes(kDwarfRip));
    const uint64_t rsp = load(ucontext + ucontext_offset_bytes(kDwarfRsp));
    if (rsp <= walk.rsp && ++walk.stack_switches > kMaxStackSwitches) return walk.stop_for(Stop::no_progress);
    walk.rbp = load(ucontext + ucontext_offset_bytes(kDwarfRbp));
    walk.rsp = rsp;
    walk.frame = exact_frame(rip);
    walk.ucontext = ucontext;
    walk.interrupted_index = count;
    if (!walk.memory.enter_interrupted(rsp)) return walk.stop_for(Stop::unreadable_stack);
    return true;
}

bool step_frame_pointer(Walk& walk) {
    const uint64_t rbp = walk.rbp;
    if (rbp == 0) return walk.stop_for(Stop::end_of_stack);
    if (!may_be_frame_pointer(rbp, walk.rsp)) return walk.stop_for(Stop::no_unwind_info);
    if (!walk.memory.reach(rbp) || !walk.memory.reach(rbp + 8)) return walk.stop_for(Stop::no_unwind_info);
    const uint64_t caller_rbp = load(rbp);
    const uint64_t return_address = load(rbp + 8);
    if (return_address != 0) {
        if (!is_code_address(return_address)) return walk.stop_for(Stop::no_unwind_info);
        // A chain of frame pointers rises or ends with 0. Called from code that uses rbp otherwise, it need
        // not: then the return address must lie in code that has unwind information.
        const bool is_chain = caller_rbp == 0 || (caller_rbp > rbp && caller_rbp % 8 == 0);
        if (!is_chain) {
            const RuleKind kind = rule_of(return_address, rule_cache.epoch()).kind();
            if (kind == RuleKind::frame_pointer || kind == RuleKind::unsupported) {
                return walk.stop_for(Stop::no_unwind_info);
            }
        }
    }
    walk.frame = return_address;
    walk.rsp = rbp + 16;
    walk.rbp = caller_rbp;
    return true;
}

__attribute__((noinline, cold)) bool step_rarely(Walk& walk, Rule rule, WalkedFrames walked) {
    switch (rule.kind()) {
        case RuleKind::from_rsp:
        case RuleKind::from_rbp:
        case RuleKind::at_rsp:
        case RuleKind::at_rbp:
            return step_plain(walk, rule);
        case RuleKind::signal_frame:
            return step_signal_frame(walk, walked.count);
        case RuleKind::frame_pointer:
            return step_frame_pointer(walk);
        case RuleKind::general:
            return step_general(walk, walked);
        case RuleKind::end:
        case RuleKind::planted:
            return walk.stop_for(Stop::end_of_stack);
        default:
            return walk.stop_for(Stop::unsupported_rule);
    }
}

}  // namespace offheap::unwind
