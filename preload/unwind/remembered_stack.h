// A thread's stack as it was captured last, and what must still stand on it for its frames to be the same.
//
// A walk is a function of its start (rip, rsp, rbp) and of the words that its steps read. So where a new walk
// comes to a frame of the last one with the same registers, and no word that was read from there on has
// changed, the frames from there to the root are the same. rbp counts only where it is live: where that frame
// or an older one uses it before it is restored.
#pragma once

#include <stdint.h>

#include "preload/unwind/capture.h"
#include "preload/unwind/common_step.h"
#include "preload/unwind/rule.h"
#include "preload/unwind/stack_memory.h"

namespace offheap::unwind {

// A word that a step read.
struct ReadWord {
    uint64_t address;
    uint64_t value;
};

// What a walk's end depends on, beside the root's registers and what its step read.
enum class EndedBy : uint8_t {
    rule,           // nothing else
    word,           // the root's caller, which is no address
    frame_pointer,  // the two words that the root's rbp points at
    memory,         // what could be read, or how the walk went: not to be known without walking
};

struct Ending {
    Stop stop = Stop::end_of_stack;
    EndedBy by = EndedBy::memory;
    bool is_thread_root = false;
    uint64_t caller_rsp = 0;  // where the root's step led
    uint64_t word = 0;
};

class Reuse;

// The frames lie root first, so that what stays keeps its place. The caller provides the memory: see
// `bytes_for`. All functions bear any content: an interrupted capture may find another one's.
class RememberedStack {
  public:
    static constexpr uint64_t bytes_for(uint32_t capacity) { return uint64_t{capacity} * kFrameBytes; }

    // Takes `memory` of bytes_for(capacity) bytes, zeroed or used by another stack.
    void place(void* memory, uint32_t capacity);

    // Captures the stack that the registers stand on. As unwind::capture, but walks only from the leaf to the
    // first frame of the last capture that can be proven to be unchanged. After Stop::capacity give more
    // memory and capture again.
    void capture(const Registers& registers, StackWindow& window);

    // Whether a whole walk from the same registers finds the frames of the last capture.
    enum class Verdict : uint8_t { equal, different, no_room };
    Verdict verify(const Registers& registers, StackWindow window);

    // Drops all that was remembered.
    void forget() { reusable_ = 0; }

    // Of the last capture:
    const uint64_t* frames() const { return frames_; }  // root first
    uint32_t count() const { return count_; }
    uint32_t unchanged() const {
        return unchanged_;
    }  // frames nearest the root, known from the capture before
    Stop stop() const { return stop_; }

    uint32_t capacity() const { return capacity_; }

  private:
    friend class Reuse;

    static constexpr uint64_t kFrameBytes = 4 * sizeof(uint64_t) + sizeof(ReadWord) + sizeof(uint32_t);

    void walk(const Registers& registers, StackWindow& window, uint64_t epoch);

    // The new frames are those from `next` to the capacity: they follow the `kept` ones.
    void remember(uint32_t kept, uint32_t next, const Ending& ending);
    bool append_rarely(Rule rule, uint32_t frame, const Ending& ending);
    bool append_last_words(const Ending& ending);
    bool append(uint64_t address, uint64_t value);

    uint64_t* frames_;
    uint64_t* stack_pointers_;
    uint64_t* frame_pointers_;  // where they are not live, any value
    // Of each frame: the number of words that its step and the older ones read, beside return addresses,
    // twice; plus one if rbp is live.
    uint32_t* marks_;
    ReadWord* words_;  // root first, like the frames
    Rule* rules_;
    uint32_t capacity_;
    uint32_t word_count_;  // while remembering
    uint32_t reusable_;    // frames nearest the root that can be proven: no signal frame or whole row among
                           // their steps
    uint32_t count_;
    uint32_t unchanged_;
    uint64_t epoch_;
    Stop stop_;
    bool is_thread_root_;
};

// What one walk can reuse of the remembered stack.
class Reuse {
  public:
    Reuse(const RememberedStack& stack, uint64_t epoch)
        : stack_(stack), candidates_(stack.epoch_ == epoch ? stack.reusable_ : 0), checked_(candidates_) {}

    // Frames nearest the root that the walk may still come to.
    uint32_t candidates() const { return candidates_; }

    // The stack pointer of the youngest of them: below it the walk meets none.
    uint64_t lowest() const {
        return candidates_ > 0 ? stack_.stack_pointers_[candidates_ - 1] : ~uint64_t{0};
    }

    // To be asked where the walk has come to `lowest`: whether it is at the youngest candidate, and they are
    // what they were. If not, there are fewer candidates now. Those from `limit` on were overwritten.
    bool meets(uint64_t frame, uint64_t rsp, uint64_t rbp, uint32_t limit, const StackMemory& memory);

    __attribute__((always_inline)) bool is_youngest(uint64_t frame, uint64_t rsp, uint64_t rbp) const {
        const uint32_t youngest = candidates_ - 1;
        return stack_.stack_pointers_[youngest] == rsp && stack_.frames_[youngest] == frame &&
               ((stack_.marks_[youngest] & 1) == 0 || stack_.frame_pointers_[youngest] == rbp);
    }

    // Reads again what the steps from the youngest candidate to the root read. Where a word has changed, the
    // step that reads it must be taken anew, and older frames are the candidates.
    __attribute__((always_inline)) bool prove(const StackMemory& memory) {
        // Return addresses, from the leaf on and one by one: those behind the first change may lie in memory
        // that is gone. What an earlier call has found unchanged is not read twice.
        const uint32_t from = candidates_;
        uint64_t unproven = from - 1 < checked_ ? from - 1 : checked_;
        const uint64_t* const stack_pointers = stack_.stack_pointers_;
        const uint64_t* const frames = stack_.frames_;
        const uint64_t high = memory.high();
        for (; unproven > 0; --unproven) {
            const uint64_t rsp = stack_pointers[unproven - 1];
            if (rsp > high || load(rsp - 8) != frames[unproven - 1]) break;
        }
        checked_ = static_cast<uint32_t>(unproven);

        const ReadWord* word = stack_.words_ + words_of(from);
        const ReadWord* const last = stack_.words_ + words_of(checked_);
        while (word > last) {
            --word;
            if (!memory.contains(word->address) || load(word->address) != word->value) {
                return resume_at(static_cast<uint32_t>(word - stack_.words_));
            }
        }
        candidates_ = unproven > 0 ? checked_ : from;
        return unproven == 0;
    }

  private:
    bool resume_at(uint32_t word);

    // The number of words that the steps of the `count` oldest frames read.
    uint32_t words_of(uint32_t count) const { return count > 0 ? stack_.marks_[count - 1] >> 1 : 0; }

    const RememberedStack& stack_;
    uint32_t candidates_;
    uint32_t checked_;  // the return addresses of this frame and younger candidates are unchanged
};

}  // namespace offheap::unwind
