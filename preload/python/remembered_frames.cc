#include "preload/python/remembered_frames.h"

namespace offheap::python {

void RememberedFrames::place(void* memory, uint32_t capacity) {
    frames_ = static_cast<Frame*>(memory);
    walk_end_ = frames_ + 2 * uint64_t{capacity};
    keys_ = reinterpret_cast<uint64_t*>(walk_end_);
    identities_ = keys_ + capacity;
    capacity_ = capacity;
    count_ = 0;
    unchanged_ = 0;
}

FrameEnd RememberedFrames::capture(uint64_t state, KnownCode& known_code, NumberCode number_code) {
    const FrameWalk walk = walk_frames(state, walk_end_, capacity_);
    const Frame* const walked = walk_end_ - walk.count;
    uint32_t unchanged = 0;
    bool is_unchanged = true;
    for (uint32_t i = 0; i < walk.count; ++i) {
        const Frame& frame = walked[i];
        Frame& last = frames_[i];
        const uint64_t identity = identity_of(frame.code);
        const bool is_same = i < count_ && last.address == frame.address && last.code == frame.code &&
                             last.instruction == frame.instruction && identities_[i] == identity;
        is_unchanged = is_unchanged && is_same && last.entry == frame.entry;
        if (is_unchanged) ++unchanged;
        last.entry = frame.entry;
        if (is_same) continue;
        last = frame;
        identities_[i] = identity;
        keys_[i] = known_code.key_of(frame.address, frame.code, identity, frame.instruction, number_code);
    }
    count_ = walk.count;
    unchanged_ = unchanged;
    return walk.end;
}

}  // namespace offheap::python
