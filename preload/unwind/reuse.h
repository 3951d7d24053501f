// Which frames of a remembered stack a walk can keep: finds where it meets them, and proves them.
#pragma once

#include "preload/unwind/remembered_stack.h"
#include "preload/unwind/stack_memory.h"

namespace offheap::unwind {

class Reuse {
  public:
    Reuse(const RememberedStack& stack, uint64_t epoch)
        : frames_(stack.frames_),
          words_(stack.words_),
          capacity_(stack.capacity_),
          youngest_(frames_ + (stack.epoch_ == epoch ? stack.reusable_ : 0) - 1),
          checked_(youngest_) {}

    // The youngest frame that the walk may still come to. Where there is none, the one that `place` has put
    // before the root: no walk reaches its stack pointer.
    const RememberedFrame* youngest() const { return youngest_; }

    uint32_t count() const { return static_cast<uint32_t>(youngest_ - frames_ + 1); }

    // Whether a frame is the youngest, with the same registers.
    bool is_met(uint64_t frame, uint64_t rsp, uint64_t rbp) const {
        return youngest_->rsp == rsp && youngest_->frame == frame &&
               ((youngest_->mark & 1) == 0 || youngest_->rbp == rbp);
    }

    // The same where the walk has come to the stack pointer of the youngest or above it. The frames from
    // `end` on were overwritten.
    bool meets(uint64_t frame, uint64_t rsp, uint64_t rbp, const RememberedFrame* end) {
        if (youngest_ >= end) youngest_ = end - 1;
        // Stack pointers rise toward the root: frames below the walk's have returned.
        while (youngest_->rsp < rsp) --youngest_;
        return is_met(frame, rsp, rbp);
    }

    // Reads again what the steps from the youngest to the root read. Where a word has changed, the step that
    // reads it must be taken anew, and the frames behind it are those that the walk may come to.
    bool prove(const StackMemory& memory) {
        // Return addresses, from the leaf on and one by one: those behind the first change may lie in memory
        // that is gone. What an earlier call has found unchanged is not read twice.
        const RememberedFrame* const met = youngest_;
        const RememberedFrame* callers = met < checked_ ? met : checked_;
        if (__builtin_expect(frames_->rsp <= memory.high(), 1)) {
            // Stack pointers rise toward the root, so all that is read lies below the window's end.
            const RememberedFrame* const fourth = frames_ + 4;
            while (callers >= fourth && are_as_they_were(callers)) callers -= 4;
            for (; callers > frames_; --callers) {
                if (!is_as_it_was(callers[-1])) break;
            }
        } else {
            for (; callers > frames_; --callers) {
                const RememberedFrame& caller = callers[-1];
                if (caller.rsp > memory.high() || load(caller.rsp - 8) != caller.frame) break;
            }
        }
        checked_ = callers;

        uint64_t word = met->mark >> 1;
        const uint64_t last = callers > frames_ ? callers[-1].mark >> 1 : 0;
        // No mark, if another capture has written here.
        if (__builtin_expect(word > capacity_, 0)) word = last;
        while (word > last) {
            --word;
            if (!memory.contains(words_[word].address) || load(words_[word].address) != words_[word].value) {
                resume_behind(word);
                return false;
            }
        }
        if (callers == frames_) return true;
        youngest_ = callers - 1;
        return false;
    }

  private:
    static bool is_as_it_was(const RememberedFrame& caller) { return load(caller.rsp - 8) == caller.frame; }

    // The four callers, one after the other: what lies behind the first change may be in memory that is gone.
    static bool are_as_they_were(const RememberedFrame* frame) {
        return is_as_it_was(frame[-1]) && is_as_it_was(frame[-2]) && is_as_it_was(frame[-3]) &&
               is_as_it_was(frame[-4]);
    }

    // Makes the caller of the frame whose step read the word the youngest.
    void resume_behind(uint64_t word) {
        while (youngest_ > frames_ && youngest_[-1].mark >> 1 > word) --youngest_;
        --youngest_;
    }

    const RememberedFrame* const frames_;
    const ReadWord* const words_;
    const uint32_t capacity_;
    const RememberedFrame* youngest_;
    const RememberedFrame* checked_;  // from here to the leaf return addresses are unchanged
};

}  // namespace offheap::unwind
