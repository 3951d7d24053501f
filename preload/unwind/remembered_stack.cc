#include "preload/unwind/remembered_stack.h"

namespace offheap::unwind {

void RememberedStack::place(void* memory, uint32_t capacity) {
    frames_ = static_cast<uint64_t*>(memory);
    stack_pointers_ = frames_ + capacity;
    frame_pointers_ = stack_pointers_ + capacity;
    rules_ = reinterpret_cast<Rule*>(frame_pointers_ + capacity);
    words_ = reinterpret_cast<ReadWord*>(rules_ + capacity);
    marks_ = reinterpret_cast<uint32_t*>(words_ + capacity);
    capacity_ = capacity;
    count_ = 0;
    reusable_ = 0;
}

RememberedStack::Verdict RememberedStack::verify(const Registers& registers, StackWindow window) {
    // Behind the frames is room that only a capture uses. One frame more, so that a walk that goes on where
    // this stack ended is seen to.
    const uint32_t room = capacity_ - count_;
    if (room <= count_) return Verdict::no_room;
    uint64_t* const leaf = frames_ + count_;
    const Capture whole = unwind::capture(registers, window, leaf, room);
    if (whole.count != count_ || whole.stop != stop_) return Verdict::different;
    for (uint32_t i = 0; i < count_; ++i) {
        if (frames_[i] != leaf[count_ - 1 - i]) return Verdict::different;
    }
    return Verdict::equal;
}

bool RememberedStack::append(uint64_t address, uint64_t value) {
    if (word_count_ == capacity_) return false;
    words_[word_count_++] = {address, value};
    return true;
}

bool RememberedStack::append_last_words(const Ending& ending) {
    const uint64_t rbp = frame_pointers_[0];
    switch (ending.by) {
        case EndedBy::rule:
            return true;
        case EndedBy::word:
            return append(ending.caller_rsp - 8, ending.word);
        case EndedBy::frame_pointer:
            return append(rbp, load(rbp)) && append(rbp + 8, load(rbp + 8));
        default:
            return false;
    }
}

// Notes what a step by any rule read beside the return address. False if the step cannot be proven.
__attribute__((noinline)) bool RememberedStack::append_rarely(Rule rule, uint32_t frame,
                                                              const Ending& ending) {
    if (rule.kind() == RuleKind::signal_frame || rule.kind() == RuleKind::general) return false;
    const bool is_root = frame == 0;
    const uint64_t rbp = frame_pointers_[frame];
    const uint64_t caller_rsp = is_root ? ending.caller_rsp : stack_pointers_[frame - 1];
    if (rule.kind() == RuleKind::at_rsp || rule.kind() == RuleKind::at_rbp) {
        const uint64_t base = rule.kind() == RuleKind::at_rsp ? stack_pointers_[frame] : rbp;
        if (!append(base + static_cast<uint64_t>(rule.cfa_offset_bytes()),
                    caller_rsp - static_cast<uint64_t>(rule.addend_bytes()))) {
            return false;
        }
    }
    if (is_root) return append_last_words(ending);
    const uint64_t caller_rbp = frame_pointers_[frame - 1];
    // A guess by the frame pointer looks at the saved one, live or not.
    if (rule.kind() == RuleKind::frame_pointer) return append(rbp, caller_rbp);
    if (!rule.saves_rbp() || (marks_[frame - 1] & 1) == 0) return true;
    const uint64_t base = rule.rbp_place() == RbpPlace::at_cfa ? caller_rsp : rbp;
    return append(base + static_cast<uint64_t>(rule.rbp_offset_bytes()), caller_rbp);
}

void RememberedStack::remember(uint32_t kept, uint32_t next, const Ending& ending) {
    constexpr uint8_t kFromRsp = Rule::shape(RuleKind::from_rsp, RbpPlace::same);
    constexpr uint8_t kFromRspSavingRbp = Rule::shape(RuleKind::from_rsp, RbpPlace::at_cfa);
    constexpr uint8_t kFromRbpSavingRbp = Rule::shape(RuleKind::from_rbp, RbpPlace::at_cfa);
    uint64_t* const frames = frames_;
    uint64_t* const stack_pointers = stack_pointers_;
    uint64_t* const frame_pointers = frame_pointers_;
    const uint32_t capacity = capacity_;
    uint32_t count = kept;
    uint32_t mark = kept > 0 ? marks_[kept - 1] : 0;
    for (; next < capacity; ++next, ++count) {
        const Rule rule = rules_[next];
        const uint8_t shape = rule.shape();
        frames[count] = frames[next];
        stack_pointers[count] = stack_pointers[next];
        frame_pointers[count] = frame_pointers[next];
        if (__builtin_expect(shape == kFromRsp && count > 0, 1)) {
            // Its step has read the return address only.
        } else if ((shape == kFromRspSavingRbp || shape == kFromRbpSavingRbp) && count > 0) {
            if ((mark & 1) != 0) {
                if (mark >> 1 == capacity) break;
                const uint64_t slot =
                    stack_pointers[count - 1] + static_cast<uint64_t>(rule.rbp_offset_bytes());
                words_[mark >> 1] = {slot, frame_pointers[count - 1]};
                mark += 2;
            }
            mark = (mark & ~1u) | (shape == kFromRbpSavingRbp ? 1 : 0);
        } else {
            word_count_ = mark >> 1;
            if (!append_rarely(rule, count, ending)) break;
            const bool is_live = rule.uses_rbp() || (!rule.saves_rbp() && (mark & 1) != 0);
            mark = word_count_ << 1 | (is_live ? 1 : 0);
        }
        marks_[count] = mark;
    }
    reusable_ = count;
    for (; next < capacity; ++next, ++count) frames[count] = frames[next];
    count_ = count;
}

__attribute__((noinline)) bool Reuse::meets(uint64_t frame, uint64_t rsp, uint64_t rbp, uint32_t limit,
                                            const StackMemory& memory) {
    if (candidates_ > limit) candidates_ = limit;
    // Stack pointers rise toward the root: frames below the walk's have returned.
    while (candidates_ > 0 && stack_.stack_pointers_[candidates_ - 1] < rsp) --candidates_;
    if (candidates_ == 0 || stack_.stack_pointers_[candidates_ - 1] != rsp) return false;
    if (is_youngest(frame, rsp, rbp)) return prove(memory);
    --candidates_;
    return false;
}

// The walk goes on with the step that read the word: finds the frame.
__attribute__((noinline)) bool Reuse::resume_at(uint32_t word) {
    uint32_t frame = candidates_ - 1;
    while (frame > 0 && words_of(frame) > word) --frame;
    candidates_ = frame;
    return false;
}

}  // namespace offheap::unwind
