// The chains of Python frames that a thread was in of late, with the node of the whole stack: where the
// thread is in one of them again, it is proven word by word instead of being captured and merged.
//
// What a chain is follows from the words that tell it: who holds the GIL, the links from that thread's state
// to the oldest frame, each frame's code and instruction, and what tells the code from another one of its
// address. Each of them is found by the ones before it, so where all have their values, a walk would find the
// same.
#pragma once

#include <stdint.h>

#include "preload/python/code.h"
#include "preload/python/known_links.h"
#include "preload/python/remembered_frames.h"

namespace offheap::python {

// Which native frame is the call of the evaluator that runs a Python frame.
struct EvaluatorCall {
    uint32_t native;  // its number
    uint32_t label;   // stands for it and all older ones
};

// A native stack as it was captured: all its frames stay where they are while this is the same.
struct NativeCapture {
    const void* stack;
    uint64_t turn;
    bool operator==(const NativeCapture& other) const = default;
};

// All zeros at first. All functions bear any content: an interrupted capture may go on with what another one
// left.
class RecurringFrames {
  public:
    // Longer chains are not for here.
    static constexpr uint32_t kMostFrames = 128;

    // The node kept for the frames that the state has now on top of the native stack `native`, 0 where there
    // is none. `is_at(entry, call)`: whether a frame's entry lies in that call still.
    template <class IsAt>
    __attribute__((always_inline)) uint32_t find(uint64_t state, uint32_t native,
                                                 const NativeCapture& capture, IsAt is_at) {
        if (used_ == 0 || epoch_ != readable_pages.epoch()) return 0;
        const uint64_t youngest = KnownLinks<>(state).frame();
        if (youngest % 8 != 0 ||
            !readable_pages.contains(youngest, interpreter.structures.frame_instruction + 8u)) {
            return 0;
        }
        const uint32_t place = place_of(native, youngest, instruction_at(youngest));
        Chain& chain = chains_[place];
        if (chain.state != state || !stands(chain, native, capture, is_at)) return 0;
        note_latest(native, place);
        return chain.node;
    }

    // The same where the calling thread is in the frames that it was in last on top of that native stack,
    // which is still the one that they were proven on, and holds the GIL; 0 in all other cases.
    __attribute__((always_inline)) uint32_t find_latest(uint32_t native, const NativeCapture& capture) const {
        return find_at(latest_[native % kLatest].place, native, capture);
    }

    // The same of those that it was in before.
    uint32_t find_before_latest(uint32_t native, const NativeCapture& capture) {
        const uint16_t place = latest_[native % kLatest].place_before;
        const uint32_t node = find_at(place, native, capture);
        if (node != 0) note_latest(native, place);
        return node;
    }

    // Keeps the node of a whole chain, if it was to be kept of late already: most chains never come again.
    // `call_of(entry)` tells which call runs a frame; asked from the oldest one on.
    template <class CallOf>
    void keep(uint64_t state, const RememberedFrames& frames, uint32_t native, const NativeCapture& capture,
              uint32_t node, CallOf call_of) {
        const uint32_t count = frames.count();
        if (count == 0 || count > kMostFrames || !comes_again(node)) return;
        if (epoch_ != frames.epoch()) forget();
        epoch_ = frames.epoch();
        unwind::ReadWord* const words = room_for_writing(count);
        const uint32_t read = read_again(state, frames, words);
        if (read == 0) return;
        uint32_t calls = 0;
        for (uint32_t i = 0; i < count; ++i) {
            const uint64_t entry = frames.frames()[i].entry;
            if (entry > kEntryUnplaced) words[read + calls++] = {entry, packed(call_of(entry))};
        }
        const Frame& youngest = frames.frames()[count - 1];
        const uint32_t place = place_of(native, youngest.address, youngest.instruction);
        Chain& chain = chain_of(place, words, read + calls);
        chain.calls = chain.start + read;
        chain.end = chain.calls + calls;
        chain.capture = capture;
        chain.state = state;
        chain.tells_state = holds_lock(state);
        chain.native = native;
        // Last: a signal handler may look for a stack of its own meanwhile.
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        chain.node = node;
        note_latest(native, place);
    }

    void forget() {
        if (used_ == 0) return;
        for (Chain& chain : chains_) chain = {};
        used_ = 0;
    }

  private:
    static constexpr uint32_t kChainBits = 9;
    static constexpr uint32_t kChains = 1u << kChainBits;
    static constexpr uint32_t kLatest = 1024;
    static constexpr uint32_t kSeen = 2048;
    static constexpr uint32_t kWords = 1u << 16;
    static constexpr uint32_t kGroup = 4;  // a chain's words are so many, or twice, or three times...

    struct alignas(64) Chain {
        uint64_t state;
        NativeCapture capture;
        uint32_t native;
        uint32_t node;  // 0: none
        // Where its words stand, and behind them the calls that run its frames.
        uint32_t start;
        uint32_t calls;
        uint32_t end;
        uint32_t room;     // for so many from the start on
        bool tells_state;  // among its words are those that make the state the calling thread's
    };

    // Whether it is kept for that native stack and is what it was.
    template <class IsAt>
    __attribute__((always_inline)) bool stands(Chain& chain, uint32_t native, const NativeCapture& capture,
                                               IsAt is_at) {
        if (chain.node == 0 || chain.native != native || !are_as_read(chain)) return false;
        if (chain.capture == capture) return true;
        if (chain.calls > chain.end || chain.end > kWords) return false;
        if (!are_run(words_ + chain.calls, words_ + chain.end, is_at)) return false;
        chain.capture = capture;
        return true;
    }

    // Whether its words are what they were.
    __attribute__((always_inline)) bool are_as_read(const Chain& chain) const {
        if (chain.start >= chain.calls || chain.calls > kWords) return false;
        const unwind::ReadWord* const end = words_ + chain.calls;
        for (const unwind::ReadWord* word = words_ + chain.start; word < end; word += kGroup) {
            if (!is_as_read(word[0]) || !is_as_read(word[1]) || !is_as_read(word[2]) || !is_as_read(word[3]))
                return false;
        }
        return true;
    }

    template <class IsAt>
    __attribute__((noinline)) static bool are_run(const unwind::ReadWord* call, const unwind::ReadWord* end,
                                                  IsAt is_at) {
        for (; call < end; ++call) {
            if (!is_at(call->address, unpacked(call->value))) return false;
        }
        return true;
    }

    static uint32_t place_of(uint32_t native, uint64_t frame, uint64_t instruction) {
        const uint64_t hash = (frame ^ instruction << 20) + native * 0xe7037ed1a0b428dbULL;
        return static_cast<uint32_t>(hash * 0x9e3779b97f4a7c15ULL >> (64 - kChainBits));
    }

    static uint64_t packed(const EvaluatorCall& call) { return uint64_t{call.label} << 32 | call.native; }
    static EvaluatorCall unpacked(uint64_t call) {
        return {static_cast<uint32_t>(call), static_cast<uint32_t>(call >> 32)};
    }

    __attribute__((always_inline)) uint32_t find_at(uint32_t place, uint32_t native,
                                                    const NativeCapture& capture) const {
        const Chain& chain = chains_[place % kChains];
        const bool may_stand = chain.tells_state && chain.native == native && chain.capture == capture &&
                               epoch_ == readable_pages.epoch();
        return may_stand && are_as_read(chain) ? chain.node : 0;
    }

    void note_latest(uint32_t native, uint32_t place) {
        Latest& latest = latest_[native % kLatest];
        if (latest.place == place) return;
        latest.place_before = latest.place;
        latest.place = static_cast<uint16_t>(place);
    }

    bool comes_again(uint32_t node) {
        uint32_t& seen = seen_[node % kSeen];
        const bool is_known = seen == node;
        seen = node;
        return is_known;
    }

    // Whether the interpreter's lock is the state's; false where the interpreter doesn't tell.
    static bool holds_lock(uint64_t state);

    // Behind all that is used, enough for a chain of so many frames.
    unwind::ReadWord* room_for_writing(uint32_t frames);

    // Writes the words that tell the chain, in the order in which they lead to one another; how many, 0 where
    // it is another chain by now.
    static uint32_t read_again(uint64_t state, const RememberedFrames& frames, unwind::ReadWord* words);

    // The chain of that place, without a node, whose words are those that were written.
    Chain& chain_of(uint32_t place, const unwind::ReadWord* written, uint32_t count);

    Chain chains_[kChains];
    // The chains that were found last, by native stack.
    struct Latest {
        uint16_t place;
        uint16_t place_before;
    } latest_[kLatest];
    uint32_t seen_[kSeen];  // nodes that were to be kept
    uint32_t used_;         // of `words_`
    uint32_t epoch_;        // of the readable pages: all kept words were readable then
    unwind::ReadWord words_[kWords];
};

}  // namespace offheap::python
