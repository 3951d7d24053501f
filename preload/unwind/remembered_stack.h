// A thread's stack as it was captured last, and what must still stand on it for its frames to be the same.
//
// A walk is a function of its start (rip, rsp, rbp) and of the words that its steps read. So where a new walk
// comes to a frame of the last one with the same registers, and no word that was read from there on has
// changed, the frames from there to the root are the same. rbp counts only where it is live: where that frame
// or an older one uses it before it is restored.
#pragma once

#include <stdint.h>

#include "preload/unwind/capture.h"
#include "preload/unwind/rule.h"
#include "preload/unwind/rule_cache.h"
#include "preload/unwind/stack_memory.h"

namespace offheap::unwind {

struct Ending;

// A frame of the last walk, and the registers in it.
struct RememberedFrame {
    uint64_t frame;  // as in capture()'s output
    uint64_t rsp;
    uint64_t rbp;  // where it is not live, any value
    union {
        Rule rule;  // while walking
        struct {
            // Later the number of words that this frame's step and the older ones read, beside return
            // addresses, doubled; plus one if rbp is live.
            uint32_t mark;
            // What the stack's user has put on it: stands for this frame and all older ones.
            uint32_t label;
        };
    };
};
static_assert(sizeof(RememberedFrame) == 32);

// The frames lie root first, so that what stays keeps its place. All functions bear any content: an
// interrupted capture may go on with what another one left.
class RememberedStack {
  public:
    static constexpr uint64_t bytes_for(uint32_t capacity) {
        return (uint64_t{capacity} + 1) * sizeof(RememberedFrame) + uint64_t{capacity} * sizeof(ReadWord);
    }

    // Takes `memory` of bytes_for(capacity) bytes; capacity >= 1.
    void place(void* memory, uint32_t capacity);

    // Whether a walk from these registers would find what the last one found. Changes nothing.
    bool repeats(uint64_t frame, uint64_t rsp, uint64_t rbp, const StackWindow& window) const;

    // The whole stack's label then; 0 where it has none, or where a walk might find another stack.
    uint32_t repeated_label(uint64_t frame, uint64_t rsp, uint64_t rbp, const StackWindow& window) const;

    // Captures the stack that the registers stand on. As unwind::capture, but walks only from the leaf to the
    // first frame of the last capture that can be proven to be unchanged. After Stop::capacity give more
    // memory and capture again.
    void capture(const Registers& registers, StackWindow& window);

    // The same where the thread is hardly where it was, reusing the frames of `last`: this stack, or another
    // one of the thread, which is left as it is. Where there is too little room then, what is remembered is
    // of no use.
    void capture_after(const RememberedStack& last, const Registers& registers, StackWindow& window);

    // Becomes what another stack is, with its labels. False where there is too little room: nothing is
    // remembered then.
    bool copy(const RememberedStack& other);

    // Whether stands() can be true of it at all.
    bool can_stand() const { return count_ > 0 && reusable_ == count_; }

    // Whether a whole walk from the same registers finds the frames of the last capture.
    enum class Verdict : uint8_t { equal, different, no_room };
    Verdict verify(const Registers& registers, StackWindow window);

    // Drops all that was remembered.
    void forget() { reusable_ = 0; }

    // Puts labels on the frames of the last capture, of which those of `labelled()` frames nearest the root
    // still have theirs.
    uint32_t* labels() { return &frames_->label; }
    static constexpr int64_t kLabelStride = sizeof(RememberedFrame) / sizeof(uint32_t);
    uint32_t labelled() const { return labelled_; }
    void set_labelled(uint32_t count) { labelled_ = count; }

    // The whole stack's label, 0 where it has none.
    uint32_t label() const { return labelled_ == count_ ? leaf_of(count_)->label : 0; }

    // Of the last capture:
    const RememberedFrame* frames() const { return frames_; }  // root first
    uint32_t count() const { return count_; }
    uint32_t unchanged() const { return unchanged_; }  // frames nearest the root: those of the capture before
    Stop stop() const { return stop_; }

    // Changes with every walk: while it is the same, so are the frames and their stack pointers.
    uint64_t turn() const { return turn_; }

    uint32_t capacity() const { return capacity_; }

  private:
    friend class Reuse;

    // Where there is no frame, the one that `place` has put before the root.
    const RememberedFrame* leaf_of(uint32_t count) const { return frames_ + count - 1; }

    static bool starts_at(const RememberedFrame* leaf, uint32_t mark, uint64_t frame, uint64_t rsp,
                          uint64_t rbp);

    // Whether all that was read from the leaf on is as it was.
    bool is_unchanged(uint32_t count, uint32_t mark, const StackWindow& window) const;

    void walk(const RememberedStack& last, const Registers& registers, StackWindow& window, uint64_t epoch);

    // Takes over so many frames nearest the root. False: they don't fit in before `end`.
    bool take_over(const RememberedStack& last, uint32_t count, const RememberedFrame* end);

    void finish(uint32_t kept, uint32_t labelled, const RememberedFrame* next, const Ending& ending,
                uint64_t epoch);

    // The new frames are those from `next` to the capacity: they follow the `kept` ones.
    void remember(uint32_t kept, uint32_t next, const Ending& ending);
    void measure(uint32_t words);
    bool append_rarely(Rule rule, uint32_t frame, const Ending& ending);
    bool append_last_words(const Ending& ending);
    bool append(uint64_t address, uint64_t value);

    RememberedFrame* frames_;
    ReadWord* words_;  // root first, like the frames
    uint32_t capacity_;
    uint32_t word_count_;  // while remembering
    // Frames nearest the root that can be proven: no signal frame or whole row among their steps.
    uint32_t reusable_;
    uint32_t count_;
    uint32_t unchanged_;
    uint32_t labelled_;
    Stop stop_;
    bool is_thread_root_;
    uint64_t epoch_;
    uint64_t turn_;
    // Where all that the last capture has read lies.
    uint64_t read_from_, read_to_;
};

inline bool RememberedStack::starts_at(const RememberedFrame* leaf, uint32_t mark, uint64_t frame,
                                       uint64_t rsp, uint64_t rbp) {
    return leaf->rsp == rsp && leaf->frame == frame && ((mark & 1) == 0 || leaf->rbp == rbp);
}

// Whether the return addresses of so many frames are what they were: of those before `caller`, one after the
// other, since what lies behind the first change may be in memory that is gone.
template <uint32_t kCount>
__attribute__((always_inline)) inline bool have_stayed(const RememberedFrame* caller) {
#pragma GCC unroll 8
    for (uint32_t i = 1; i <= kCount; ++i) {
        if (load((caller - i)->rsp - 8) != (caller - i)->frame) return false;
    }
    return true;
}

__attribute__((always_inline)) inline bool RememberedStack::is_unchanged(uint32_t count, uint32_t mark,
                                                                         const StackWindow& window) const {
    if (reusable_ != count || mark >> 1 > capacity_) return false;
    if (read_from_ < window.low || read_to_ > window.high) return false;
    const RememberedFrame* caller = frames_ + count - 1;
    uint32_t left = count - 1;
    for (; left >= 8; left -= 8, caller -= 8) {
        if (!have_stayed<8>(caller)) return false;
    }
    if ((left & 4) != 0) {
        if (!have_stayed<4>(caller)) return false;
        caller -= 4;
    }
    if ((left & 2) != 0) {
        if (!have_stayed<2>(caller)) return false;
        caller -= 2;
    }
    if ((left & 1) != 0 && !have_stayed<1>(caller)) return false;
    const ReadWord* word = words_;
    const ReadWord* const end = word + (mark >> 1);
    for (; end - word >= 4; word += 4) {
        if (!is_as_read(word[0]) || !is_as_read(word[1]) || !is_as_read(word[2]) || !is_as_read(word[3]))
            return false;
    }
    for (; word != end; ++word) {
        if (!is_as_read(*word)) return false;
    }
    return true;
}

__attribute__((always_inline)) inline bool RememberedStack::repeats(uint64_t frame, uint64_t rsp,
                                                                    uint64_t rbp,
                                                                    const StackWindow& window) const {
    if (epoch_ != rule_cache.stacks_epoch()) return false;
    const uint32_t count = count_;
    const RememberedFrame* const leaf = leaf_of(count);
    const uint32_t mark = leaf->mark;
    return starts_at(leaf, mark, frame, rsp, rbp) && is_unchanged(count, mark, window);
}

__attribute__((always_inline)) inline uint32_t RememberedStack::repeated_label(
    uint64_t frame, uint64_t rsp, uint64_t rbp, const StackWindow& window) const {
    if (epoch_ != rule_cache.stacks_epoch()) return 0;
    const uint32_t count = count_;
    const RememberedFrame* const leaf = leaf_of(count);
    const uint32_t mark = leaf->mark;
    if (!starts_at(leaf, mark, frame, rsp, rbp) || labelled_ != count) return 0;
    const uint32_t label = leaf->label;
    return is_unchanged(count, mark, window) ? label : 0;
}

}  // namespace offheap::unwind
