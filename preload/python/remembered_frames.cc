#include "preload/python/remembered_frames.h"

#include "preload/python/interpreter.h"
#include "preload/python/known_links.h"
#include "preload/python/readable_pages.h"
#include "preload/unwind/stack_memory.h"

namespace offheap::python {

using unwind::load;

namespace {

// So many of the youngest frames are looked through for the one that the thread is in.
constexpr uint32_t kMostReturns = 8;

// Where the link behind a frame leads, past the call of the evaluator that runs it.
uint64_t behind(const Frame& frame) {
    const Structures& structures = interpreter.structures;
    const uint64_t next = load(frame.address + structures.frame_previous);
    const bool is_call = structures.chain == Chain::entry_frames && next == frame.entry && next != 0;
    return is_call ? load(next + structures.frame_previous) : next;
}

}  // namespace

void RememberedFrames::place(void* memory, uint32_t capacity) {
    frames_ = static_cast<Frame*>(memory);
    walk_end_ = frames_ + 2 * uint64_t{capacity};
    keys_ = reinterpret_cast<uint64_t*>(walk_end_);
    identities_ = reinterpret_cast<CodeIdentity*>(keys_ + capacity);
    capacity_ = capacity;
    count_ = 0;
    unchanged_ = 0;
}

FrameEnd RememberedFrames::capture(uint64_t state, KnownCode& known_code, NumberCode number_code) {
    unchanged_ = count_;
    if (follow(state, known_code, number_code)) return FrameEnd::root;
    return walk(state, known_code, number_code);
}

// Reads the frames where they were: those that the thread has returned from are dropped, the others have
// their instructions looked at. True if the chain is what it was from there on. All that is read was read
// before, and no page of it was given back since.
bool RememberedFrames::follow(uint64_t state, KnownCode& known_code, NumberCode number_code) {
    const Structures& structures = interpreter.structures;
    if (count_ == 0 || epoch_ != readable_pages.epoch()) return false;
    KnownLinks<> links(state);
    uint32_t count = count_;
    const uint32_t least = count > kMostReturns ? count - kMostReturns : 0;
    while (count > least && frames_[count - 1].address != links.frame()) --count;
    if (count == least) return false;

    for (uint32_t i = count; i-- > 0;) {
        Frame& frame = frames_[i];
        const uint64_t address = frame.address;
        if (links.frame() != address) return false;
        const uint64_t code = load(address + structures.frame_code) & ~uint64_t{7};
        if (code != frame.code || !is_still(code, identities_[i])) return false;
        const uint64_t instruction = instruction_at(address);
        if (instruction != frame.instruction) {
            frame.instruction = instruction;
            keys_[i] = known_code.key_of(address, code, identities_[i], instruction, number_code);
            unchanged_ = i;
        }
        if (!links.follow(frame)) return false;
    }
    if (!links.is_at_end(behind_root_)) return false;
    if (count < unchanged_) unchanged_ = count;
    count_ = count;
    return true;
}

FrameEnd RememberedFrames::walk(uint64_t state, KnownCode& known_code, NumberCode number_code) {
    const uint32_t epoch = readable_pages.epoch();
    const FrameWalk walk = walk_frames(state, walk_end_, capacity_);
    const Frame* const walked = walk_end_ - walk.count;
    uint32_t unchanged = 0;
    bool is_unchanged = true;
    for (uint32_t i = 0; i < walk.count; ++i) {
        const Frame& frame = walked[i];
        Frame& last = frames_[i];
        const CodeIdentity identity = identity_of(frame.code);
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
    if (unchanged < unchanged_) unchanged_ = unchanged;
    // Only a whole chain is followed the next time.
    const bool is_whole = walk.end == FrameEnd::root && walk.count > 0;
    count_ = walk.count;
    behind_root_ = is_whole ? behind(frames_[0]) : 0;
    epoch_ = is_whole ? epoch : epoch - 1;
    return walk.end;
}

}  // namespace offheap::python
