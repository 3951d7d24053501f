#include "preload/python/frames.h"

#include "preload/python/interpreter.h"
#include "preload/python/readable_pages.h"
#include "preload/unwind/stack_memory.h"

namespace offheap::python {

using unwind::load;

namespace {

// FRAME_OWNED_BY_CSTACK, and what stands behind it in 3.14: a call of the evaluator, and no function.
constexpr uint8_t kOwnedByCall = 3;

uint8_t load_byte(uint64_t address) { return *reinterpret_cast<const volatile uint8_t*>(address); }

// Python 3.14 has bits of its own in references.
uint64_t untagged(uint64_t reference) { return reference & ~uint64_t{7}; }

bool is_word_readable(uint64_t address, uint64_t bytes) {
    return address % 8 == 0 && readable_pages.contains(address, bytes);
}

class Walker {
  public:
    Walker(uint64_t state, Frame* end, uint32_t capacity)
        : structures_(interpreter.structures), next_(end), end_(end), capacity_(capacity) {
        if (structures_.thread_cframe != 0) cframe_ = load(state + structures_.thread_cframe);
        if (structures_.thread_frame != 0) {
            frame_ = load(state + structures_.thread_frame);
        } else if (is_word_readable(cframe_, structures_.cframe_frame + 8u)) {
            frame_ = load(cframe_ + structures_.cframe_frame);
        } else {
            is_broken_ = cframe_ != 0;
        }
    }

    FrameWalk walk() {
        // A chain that runs in a circle comes by a frame that was noted: at each power of two.
        uint64_t noted = 0;
        uint64_t steps = 1;
        const uint32_t frame_bytes = frame_span();
        while (frame_ != 0 && !is_broken_) {
            if (!is_word_readable(frame_, frame_bytes) || frame_ == noted) return told(FrameEnd::broken);
            if ((steps & (steps - 1)) == 0) noted = frame_;
            ++steps;
            if (is_call(frame_)) {
                close_group(frame_);
            } else {
                if (end_ - next_ == capacity_) return told(FrameEnd::capacity);
                take(frame_);
            }
            frame_ = load(frame_ + structures_.frame_previous);
        }
        return told(is_broken_ ? FrameEnd::broken : FrameEnd::root);
    }

  private:
    FrameWalk told(FrameEnd end) const { return {static_cast<uint32_t>(end_ - next_), end}; }

    // All that is read of a frame lies in front of this.
    uint32_t frame_span() const {
        const uint32_t instruction = structures_.frame_instruction + 8u;
        const uint32_t owner = structures_.frame_owner + 1u;
        const uint32_t span = instruction > owner ? instruction : owner;
        const uint32_t code = structures_.frame_thread_code + 4u;
        return span > code ? span : code;
    }

    bool is_call(uint64_t frame) const {
        return structures_.chain == Chain::entry_frames &&
               load_byte(frame + structures_.frame_owner) >= kOwnedByCall;
    }

    void take(uint64_t frame) {
        const uint64_t code = untagged(load(frame + structures_.frame_code));
        if (is_function(code)) {
            *--next_ = {frame, code, instruction_at(frame), 0};
            oldest_ = next_;
        }
        switch (structures_.chain) {
            case Chain::frame_objects:
                return close_group(kEntryUnplaced);
            case Chain::framed_objects:
                return close_record();
            case Chain::entry_flags:
                if (load_byte(frame + structures_.frame_owner) != 0) close_record();
                return;
            case Chain::entry_frames:
                return;
        }
    }

    // Something in a frame's place that is no code object belongs to the interpreter itself; so does code
    // whose file has its function's name.
    bool is_function(uint64_t code) const {
        return code != 0 && readable_pages.contains(code, structures_.code_lines + 8u) &&
               load(code + structures_.object_type) == interpreter.code_type &&
               load(code + structures_.code_file) != load(code + structures_.code_name);
    }

    void close_group(uint64_t entry) {
        if (oldest_ != nullptr) oldest_->entry = entry;
        oldest_ = nullptr;
    }

    void close_record() {
        close_group(cframe_);
        if (is_word_readable(cframe_, structures_.cframe_previous + 8u)) {
            cframe_ = load(cframe_ + structures_.cframe_previous);
        } else {
            is_broken_ = true;
        }
    }

    const Structures& structures_;
    Frame* next_;
    Frame* const end_;
    const uint32_t capacity_;
    Frame* oldest_ = nullptr;  // of the frames of the call that the walk is in
    uint64_t frame_ = 0;
    uint64_t cframe_ = 0;
    bool is_broken_ = false;
};

}  // namespace

uint64_t instruction_at(uint64_t address) {
    const Structures& structures = interpreter.structures;
    const uint64_t word = load(address + structures.frame_instruction);
    const bool is_number =
        structures.chain == Chain::frame_objects || structures.chain == Chain::framed_objects;
    return is_number ? word & 0xffffffff : word;
}

FrameWalk walk_frames(uint64_t state, Frame* end, uint32_t capacity) {
    const Structures& structures = interpreter.structures;
    const uint64_t bytes = (structures.thread_cframe > structures.thread_frame ? structures.thread_cframe
                                                                               : structures.thread_frame) +
                           8u;
    if (!readable_pages.contains(state, bytes)) return {0, FrameEnd::broken};
    return Walker(state, end, capacity).walk();
}

}  // namespace offheap::python
