// The calling thread's Python frames, as the interpreter has linked them.
//
// A thread reads its own: nobody else changes them. Where the interpreter is in the middle of a call or a
// return, the frame in question is linked or it is not; the links are whole at each allocation it makes.
#pragma once

#include <stdint.h>

namespace offheap::python {

struct Frame {
    uint64_t address;
    uint64_t code;         // PyCodeObject
    uint64_t instruction;  // a pointer into the code, or a number, as the interpreter keeps it
    // Of the oldest of the frames that one call of the evaluator runs: an address in that call's own frame on
    // the C stack, or kEntryUnplaced. Else 0.
    uint64_t entry;
};

inline constexpr uint64_t kEntryUnplaced = 1;  // 3.9: each frame has a call to itself

enum class FrameEnd : uint8_t {
    root,
    capacity,
    broken,  // a link leads to what cannot be read, or round in a circle
};

struct FrameWalk {
    uint32_t count;
    FrameEnd end;
};

// Frame::instruction of the frame at `address`.
uint64_t instruction_at(uint64_t address);

// Writes the frames of a thread's state, the youngest at `end[-1]`, older ones before it.
FrameWalk walk_frames(uint64_t state, Frame* end, uint32_t capacity);

}  // namespace offheap::python
