// The chains of Python frames that a thread was in of late, with the node of the whole stack: where the
// thread is in one of them again, every frame of it is proven instead of being captured and merged.
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

// All zeros at first. All functions bear any content: an interrupted capture may go on with what another one
// left.
class RecurringFrames {
  public:
    // Longer chains are not for here.
    static constexpr uint32_t kMostFrames = 128;

    // The node kept for the frames that the state has now on top of the native stack `native`, 0 where there
    // is none. `is_at(entry, call)`: whether a frame's entry lies in that call still.
    template <class IsAt>
    __attribute__((always_inline)) uint32_t find(uint64_t state, uint32_t native, IsAt is_at) const {
        if (used_ == 0 || epoch_ != readable_pages.epoch()) return 0;
        KnownLinks links(state);
        const uint64_t youngest = links.frame();
        const Structures& structures = interpreter.structures;
        if (youngest % 8 != 0 || !readable_pages.contains(youngest, structures.frame_instruction + 8u))
            return 0;
        const Chain& chain = chains_[place_of(native, youngest, instruction_at(youngest))];
        const uint32_t node = chain.node;
        if (node == 0 || chain.native != native || chain.count > kFrames - chain.start) return 0;
        const Known* known = known_ + chain.start;
        for (const Known* const end = known + chain.count; known < end; ++known) {
            const Frame& frame = known->frame;
            if (links.frame() != frame.address) return 0;
            const uint64_t code = unwind::load(frame.address + structures.frame_code) & ~uint64_t{7};
            if (code != frame.code || instruction_at(frame.address) != frame.instruction ||
                !is_still(code, known->identity) ||
                (frame.entry > kEntryUnplaced && !is_at(frame.entry, known->call)) || !links.follow(frame)) {
                return 0;
            }
        }
        return links.is_at_end(chain.behind_root) ? node : 0;
    }

    // Keeps the node of a whole chain. `call_of(entry)` tells which call runs a frame; asked from the oldest
    // one on.
    template <class CallOf>
    void keep(const RememberedFrames& frames, uint32_t native, uint32_t node, CallOf call_of) {
        const uint32_t count = frames.count();
        if (count == 0 || count > kMostFrames) return;
        if (epoch_ != frames.epoch()) forget();
        epoch_ = frames.epoch();
        const Frame& youngest = frames.frames()[count - 1];
        Chain& chain = room_for(count, place_of(native, youngest.address, youngest.instruction));
        const uint32_t start = chain.start;
        for (uint32_t i = 0; i < count; ++i) {
            const Frame& frame = frames.frames()[i];
            Known& known = known_[start + count - 1 - i];
            known.frame = frame;
            known.identity = frames.identities()[i];
            if (frame.entry > kEntryUnplaced) known.call = call_of(frame.entry);
        }
        chain.native = native;
        chain.count = count;
        chain.behind_root = frames.behind_root();
        // Last: a signal handler may look for a stack of its own meanwhile.
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        chain.node = node;
    }

    void forget();

  private:
    static constexpr uint32_t kChainBits = 9;
    static constexpr uint32_t kFrames = 4096;

    struct Known {
        Frame frame;
        CodeIdentity identity;
        EvaluatorCall call;
    };
    struct Chain {
        uint64_t behind_root;
        uint32_t native;
        uint32_t node;   // 0: none
        uint32_t start;  // of its frames, the youngest first
        uint32_t count;
        uint32_t room;  // for so many
    };

    static uint64_t place_of(uint32_t native, uint64_t frame, uint64_t instruction) {
        return ((frame ^ instruction << 20) + native * 0xe7037ed1a0b428dbULL) * 0x9e3779b97f4a7c15ULL >>
               (64 - kChainBits);
    }

    // A chain without a node, with room for so many frames.
    Chain& room_for(uint32_t count, uint64_t place);

    Chain chains_[1u << kChainBits];
    uint32_t used_;   // of `known_`
    uint32_t epoch_;  // of the readable pages: all that is kept was readable then
    Known known_[kFrames];
};

}  // namespace offheap::python
