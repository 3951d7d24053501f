#include "preload/python/recurring_frames.h"

namespace offheap::python {

namespace {

// Of a frame: its code, instruction, link and mark, and those of the call that runs it.
constexpr uint32_t kMostFrameWords = 6 + kMostIdentityWords;
// Those that tell the thread's state, lead to the youngest frame, and past the oldest; and to make them
// groups.
constexpr uint32_t kMostOtherWords = 10;

// Reads words and notes what they were.
struct NotedRead {
    unwind::ReadWord** next;
    uint64_t operator()(uint64_t address) const {
        const unwind::ReadWord word = {address, unwind::load(address)};
        *(*next)++ = word;
        return word.value;
    }
};

}  // namespace

bool RecurringFrames::holds_lock(uint64_t state) {
    const uint16_t holder = interpreter.structures.runtime_holder;
    return holder != 0 && unwind::load(interpreter.runtime + holder) == state;
}

unwind::ReadWord* RecurringFrames::room_for_writing(uint32_t frames) {
    static_assert(kMostFrames * (kMostFrameWords + 1) + kMostOtherWords <= kWords);
    const uint32_t most = frames * (kMostFrameWords + 1) + kMostOtherWords;
    if (used_ > kWords || most > kWords - used_) forget();
    return words_ + used_;
}

uint32_t RecurringFrames::read_again(uint64_t state, const RememberedFrames& frames,
                                     unwind::ReadWord* words) {
    const Structures& structures = interpreter.structures;
    unwind::ReadWord* next = words;
    const NotedRead read{&next};
    if (holds_lock(state)) {
        read(interpreter.runtime + structures.runtime_holder);
        read(state + structures.thread_id);
    }
    KnownLinks<NotedRead> links(state, read);
    uint64_t known_code = 0;
    uint64_t known_file = 0;
    for (uint32_t i = frames.count(); i-- > 0;) {
        const Frame& frame = frames.frames()[i];
        if (links.frame() != frame.address) return 0;
        const uint64_t code = read(frame.address + structures.frame_code) & ~uint64_t{7};
        read(frame.address + structures.frame_instruction);
        if (code != frame.code || instruction_at(frame.address) != frame.instruction) return 0;
        // A function that has called itself.
        if (code != known_code) next += identity_words(code, frames.identities()[i], &known_file, next);
        known_code = code;
        if (!links.follow(frame)) return 0;
    }
    if (!links.is_at_end(frames.behind_root())) return 0;
    while ((next - words) % kGroup != 0) *next++ = words[0];
    return static_cast<uint32_t>(next - words);
}

RecurringFrames::Chain& RecurringFrames::chain_of(uint32_t place, const unwind::ReadWord* written,
                                                  uint32_t count) {
    Chain& chain = chains_[place];
    chain.node = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (chain.room < count) {
        chain.start = static_cast<uint32_t>(written - words_);
        chain.room = count;
        used_ = chain.start + count;
        return chain;
    }
    for (uint32_t i = 0; i < count; ++i) words_[chain.start + i] = written[i];
    return chain;
}

}  // namespace offheap::python
