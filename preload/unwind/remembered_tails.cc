#include "preload/unwind/remembered_tails.h"

namespace offheap::unwind {

bool RememberedTails::restore(RememberedStack& stack, const StackWindow& window, const CaptureStart& start,
                              uint32_t* labels, uint32_t label_count) const {
    const Tail& tail = tails_[slot_of(start)];
    if (tail.caller != start.caller || tail.rsp != start.rsp) return false;
    const uint32_t joint = tail.joint_count - 1;
    if (joint >= stack.reusable_ || joint >= label_count || tail.epoch != rule_cache.stacks_epoch() ||
        stack.epoch_ != tail.epoch) {
        return false;
    }
    RememberedFrame* const joint_frame = stack.frames_ + joint;
    if (labels[joint] != tail.joint_label || joint_frame->rsp != tail.joint_rsp ||
        joint_frame->mark != tail.joint_mark ||
        ((tail.joint_mark & 1) != 0 && joint_frame->rbp != tail.joint_rbp)) {
        return false;
    }
    const uint32_t count = tail.joint_count + tail.frame_count;
    const uint64_t first_word = tail.joint_mark >> 1;
    if (count > stack.capacity_ || first_word + tail.word_count > stack.capacity_) return false;
    // The tail's own return addresses first: mostly it is them that differ, and the remembered frames stay.
    if (start.rsp < window.low || joint_frame->rsp > window.high) return false;
    for (uint32_t i = tail.frame_count - 1; i > 0; --i) {
        if (load(tail.frames[i - 1].rsp - 8) != tail.frames[i - 1].frame) return false;
    }
    for (uint32_t i = 0; i < tail.frame_count; ++i) {
        joint_frame[1 + i] = tail.frames[i];
        labels[tail.joint_count + i] = tail.labels[i];
    }
    for (uint32_t i = 0; i < tail.word_count; ++i) stack.words_[first_word + i] = tail.words[i];
    stack.count_ = stack.reusable_ = stack.unchanged_ = count;
    if (stack.repeats(start.frame, start.rsp, start.rbp, window)) return true;
    stack.count_ = stack.reusable_ = tail.joint_count;
    return false;
}

void RememberedTails::keep(const RememberedStack& stack, const CaptureStart& start, const uint32_t* labels) {
    const uint32_t kept = stack.unchanged_;
    const uint32_t count = stack.count_ - kept;
    if (kept == 0 || count == 0 || count > kMostFrames || stack.reusable_ != stack.count_) return;
    const RememberedFrame& joint = stack.frames_[kept - 1];
    const RememberedFrame& leaf = stack.frames_[stack.count_ - 1];
    const uint64_t word_count = (leaf.mark >> 1) - (joint.mark >> 1);
    if (word_count > kMostWords || leaf.rsp != start.rsp || leaf.frame != start.frame) return;
    Tail& tail = tails_[slot_of(start)];
    tail.caller = start.caller;
    tail.rsp = start.rsp;
    tail.epoch = stack.epoch_;
    tail.joint_rsp = joint.rsp;
    tail.joint_rbp = joint.rbp;
    tail.joint_mark = joint.mark;
    tail.joint_label = labels[kept - 1];
    tail.joint_count = kept;
    tail.frame_count = count;
    tail.word_count = static_cast<uint32_t>(word_count);
    for (uint32_t i = 0; i < count; ++i) {
        tail.frames[i] = stack.frames_[kept + i];
        tail.labels[i] = labels[kept + i];
    }
    for (uint32_t i = 0; i < word_count; ++i) tail.words[i] = stack.words_[(joint.mark >> 1) + i];
}

}  // namespace offheap::unwind
