#include "preload/unwind/remembered_stack.h"

#include "preload/unwind/ending.h"
#include "preload/unwind/stack_memory.h"

namespace offheap::unwind {

void RememberedStack::place(void* memory, uint32_t capacity) {
    frames_ = static_cast<RememberedFrame*>(memory) + 1;
    // Stands for the caller of the root: searches for a stack pointer end there.
    frames_[-1] = {0, ~uint64_t{0}, 0, {Rule()}};
    words_ = reinterpret_cast<ReadWord*>(frames_ + capacity);
    capacity_ = capacity;
    count_ = 0;
    reusable_ = 0;
    labelled_ = 0;
}

bool RememberedStack::take_over(const RememberedStack& last, uint32_t count, const RememberedFrame* end) {
    const uint32_t words = last.frames_[count - 1].mark >> 1;
    if (count > static_cast<uint64_t>(end - frames_) || words > capacity_ || words > last.capacity_) {
        return false;
    }
    for (uint32_t i = 0; i < count; ++i) frames_[i] = last.frames_[i];
    for (uint32_t i = 0; i < words; ++i) words_[i] = last.words_[i];
    return true;
}

bool RememberedStack::copy(const RememberedStack& other) {
    ++turn_;
    count_ = 0;
    reusable_ = 0;
    labelled_ = 0;
    if (!other.can_stand() || !take_over(other, other.reusable_, frames_ + capacity_)) return false;
    reusable_ = other.reusable_;
    count_ = reusable_;
    unchanged_ = count_;
    labelled_ = other.labelled_;
    stop_ = other.stop_;
    is_thread_root_ = other.is_thread_root_;
    epoch_ = other.epoch_;
    read_from_ = other.read_from_;
    read_to_ = other.read_to_;
    return true;
}

RememberedStack::Verdict RememberedStack::verify(const Registers& registers, StackWindow window) {
    // Behind the frames is room that only a capture uses. One frame more, so that a walk that goes on where
    // this stack ended is seen to.
    const uint64_t room = uint64_t{capacity_ - count_} * (sizeof(RememberedFrame) / sizeof(uint64_t));
    if (room <= count_) return Verdict::no_room;
    auto* const leaf = reinterpret_cast<uint64_t*>(frames_ + count_);
    const Capture whole = unwind::capture(registers, window, leaf, count_ + 1);
    if (whole.count != count_ || whole.stop != stop_) return Verdict::different;
    for (uint32_t i = 0; i < count_; ++i) {
        if (frames_[i].frame != leaf[count_ - 1 - i]) return Verdict::different;
    }
    return Verdict::equal;
}

bool RememberedStack::append(uint64_t address, uint64_t value) {
    if (word_count_ == capacity_) return false;
    words_[word_count_++] = {address, value};
    return true;
}

bool RememberedStack::append_last_words(const Ending& ending) {
    const uint64_t rbp = frames_[0].rbp;
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
    const uint64_t rbp = frames_[frame].rbp;
    const uint64_t caller_rsp = is_root ? ending.caller_rsp : frames_[frame - 1].rsp;
    if (rule.kind() == RuleKind::at_rsp || rule.kind() == RuleKind::at_rbp) {
        const uint64_t base = rule.kind() == RuleKind::at_rsp ? frames_[frame].rsp : rbp;
        if (!append(base + static_cast<uint64_t>(rule.cfa_offset_bytes()),
                    caller_rsp - static_cast<uint64_t>(rule.addend_bytes()))) {
            return false;
        }
    }
    if (is_root) return append_last_words(ending);
    const uint64_t caller_rbp = frames_[frame - 1].rbp;
    // A guess by the frame pointer looks at the saved one, live or not.
    if (rule.kind() == RuleKind::frame_pointer) return append(rbp, caller_rbp);
    if (!rule.saves_rbp() || (frames_[frame - 1].mark & 1) == 0) return true;
    const uint64_t base = rule.rbp_place() == RbpPlace::at_cfa ? caller_rsp : rbp;
    return append(base + static_cast<uint64_t>(rule.rbp_offset_bytes()), caller_rbp);
}

void RememberedStack::remember(uint32_t kept, uint32_t next, const Ending& ending) {
    constexpr uint8_t kFromRsp = Rule::shape(RuleKind::from_rsp, RbpPlace::same);
    constexpr uint8_t kFromRspSavingRbp = Rule::shape(RuleKind::from_rsp, RbpPlace::at_cfa);
    constexpr uint8_t kFromRbpSavingRbp = Rule::shape(RuleKind::from_rbp, RbpPlace::at_cfa);
    RememberedFrame* const frames = frames_;
    const uint32_t capacity = capacity_;
    uint32_t count = kept;
    uint32_t mark = kept > 0 ? frames[kept - 1].mark : 0;
    for (; next < capacity; ++next, ++count) {
        const Rule rule = frames[next].rule;
        const uint8_t shape = rule.shape();
        RememberedFrame& frame = frames[count];
        frame.frame = frames[next].frame;
        frame.rsp = frames[next].rsp;
        frame.rbp = frames[next].rbp;
        if (__builtin_expect(shape == kFromRsp && count > 0, 1)) {
            // Its step has read the return address only.
        } else if ((shape == kFromRspSavingRbp || shape == kFromRbpSavingRbp) && count > 0) {
            if ((mark & 1) != 0) {
                if (mark >> 1 == capacity) break;
                const RememberedFrame& caller = frames[count - 1];
                words_[mark >> 1] = {caller.rsp + static_cast<uint64_t>(rule.rbp_offset_bytes()), caller.rbp};
                mark += 2;
            }
            mark = (mark & ~1u) | (shape == kFromRbpSavingRbp ? 1 : 0);
        } else {
            word_count_ = mark >> 1;
            if (!append_rarely(rule, count, ending)) break;
            const bool is_live = rule.uses_rbp() || (!rule.saves_rbp() && (mark & 1) != 0);
            mark = word_count_ << 1 | (is_live ? 1 : 0);
        }
        frame.mark = mark;
    }
    reusable_ = count;
    for (; next < capacity; ++next, ++count) frames[count].frame = frames[next].frame;
    count_ = count;
    measure(mark >> 1);
}

void RememberedStack::measure(uint32_t words) {
    // Stack pointers rise toward the root, so all return addresses lie between these.
    uint64_t from = frames_[int64_t{count_} - 1].rsp;
    uint64_t to = frames_->rsp;
    for (const ReadWord* word = words_; word != words_ + words; ++word) {
        if (word->address < from) from = word->address;
        if (word->address + 8 > to) to = word->address + 8;
    }
    read_from_ = from;
    read_to_ = to;
}

}  // namespace offheap::unwind
