// A thread's Python frames as they were captured last, with their keys.
#pragma once

#include <stdint.h>

#include "preload/python/code.h"
#include "preload/python/frames.h"

namespace offheap::python {

// All functions bear any content: an interrupted capture may go on with what another one left.
class RememberedFrames {
  public:
    static constexpr uint64_t bytes_for(uint32_t capacity) {
        return uint64_t{capacity} * (2 * sizeof(Frame) + sizeof(uint64_t) + sizeof(CodeIdentity));
    }

    // Takes `memory` of bytes_for(capacity) bytes; capacity >= 1.
    void place(void* memory, uint32_t capacity);

    // Captures the frames of the thread's state. After FrameEnd::capacity give more memory and capture again.
    FrameEnd capture(uint64_t state, KnownCode& known_code, NumberCode number_code);

    void forget() { count_ = 0; }

    // Of the last capture, the oldest first:
    const Frame* frames() const { return frames_; }
    const uint64_t* keys() const { return keys_; }
    uint32_t count() const { return count_; }
    uint32_t unchanged() const { return unchanged_; }  // of the oldest: those of the capture before

    const CodeIdentity* identities() const { return identities_; }  // of their code
    // Of a whole chain: when all of it was readable, and where its last link led.
    uint32_t epoch() const { return epoch_; }
    uint64_t behind_root() const { return behind_root_; }

    uint32_t capacity() const { return capacity_; }

  private:
    bool follow(uint64_t state, KnownCode& known_code, NumberCode number_code);
    FrameEnd walk(uint64_t state, KnownCode& known_code, NumberCode number_code);

    Frame* frames_;
    uint64_t* keys_;
    CodeIdentity* identities_;  // of the frames' code
    Frame* walk_end_;           // of the room for a walk
    uint32_t capacity_;
    uint32_t count_;
    uint32_t unchanged_;
    uint32_t epoch_;        // of the readable pages
    uint64_t behind_root_;  // where the oldest frame's link led, or that of the call that runs it
};

}  // namespace offheap::python
