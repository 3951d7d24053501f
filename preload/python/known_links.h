// The links of a chain of Python frames that was read before, and whose memory is readable since: what they
// are now, without asking about each page.
#pragma once

#include <stdint.h>

#include "preload/python/frames.h"
#include "preload/python/interpreter.h"
#include "preload/python/readable_pages.h"
#include "preload/unwind/stack_memory.h"

namespace offheap::python {

// Reads a word of the chain.
struct PlainRead {
    uint64_t operator()(uint64_t address) const { return unwind::load(address); }
};

template <class Read = PlainRead>
class KnownLinks {
  public:
    // At the youngest frame of the thread's state.
    explicit KnownLinks(uint64_t state, Read read = Read())
        : structures_(interpreter.structures), read_(read) {
        if (structures_.thread_cframe != 0) cframe_ = read_(state + structures_.thread_cframe);
        if (structures_.thread_frame != 0) {
            frame_ = read_(state + structures_.thread_frame);
        } else if (cframe_ % 8 == 0 && readable_pages.contains(cframe_, structures_.cframe_frame + 8u)) {
            frame_ = read_(cframe_ + structures_.cframe_frame);
        }
    }

    uint64_t frame() const { return frame_; }

    // From `known`, which is where frame() is, to the next older one; false where the link, or the call that
    // runs the frame, is another one.
    bool follow(const Frame& known) {
        frame_ = read_(frame_ + structures_.frame_previous);
        switch (structures_.chain) {
            case Chain::frame_objects:
                return true;
            case Chain::entry_frames:
                if (known.entry == 0) return true;
                if (frame_ != known.entry) return false;
                frame_ = read_(frame_ + structures_.frame_previous);
                return true;
            case Chain::entry_flags:
                if (mark_of(known.address) == 0) return known.entry == 0;
                [[fallthrough]];
            case Chain::framed_objects:
                if (cframe_ != known.entry) return false;
                cframe_ = read_(cframe_ + structures_.cframe_previous);
                return true;
        }
        return false;
    }

    // Whether the oldest frame has been passed. Python 3.14 has a last link that leads to no function.
    bool is_at_end(uint64_t behind_root) const {
        return frame_ == 0 || (frame_ == behind_root && read_(frame_ + structures_.frame_previous) == 0);
    }

  private:
    // The last byte of a word: what stands before it is the frame's too, and like it as long as nothing runs.
    uint64_t mark_of(uint64_t frame) { return read_(frame + structures_.frame_owner - 7u) >> 56; }

    const Structures& structures_;
    Read read_;
    uint64_t frame_ = 0;
    uint64_t cframe_ = 0;
};

}  // namespace offheap::python
