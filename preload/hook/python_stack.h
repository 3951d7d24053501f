// A thread's stack with its Python frames: each stands above the call of the evaluator that runs it, and
// below the native code that it calls.
#pragma once

#include <stdint.h>

#include "preload/python/code.h"
#include "preload/python/recurring_frames.h"
#include "preload/python/remembered_frames.h"

namespace offheap::hook {

struct ThreadState;

// What a thread that runs Python remembers.
struct PythonStack {
    uint64_t channel_id;  // the numbers of code, and nodes, are this channel's
    uint32_t generation;  // the nodes are below this one's root
    python::KnownCode known_code;
    python::RememberedFrames frames;
    python::RecurringFrames recurring;
    // Native and Python frames as one stack, root first, as it was interned last, and its nodes.
    uint64_t* keys;
    uint32_t* nodes;
    uint32_t capacity;  // of these two
    uint32_t known;     // of the frames nearest the root: they have nodes
    // Where its youngest Python frames begin: behind the native frame that runs them.
    struct Joint {
        uint32_t native;  // that frame's number and one; 0: there is none
        uint32_t native_label;
        uint64_t native_rsp;
        uint32_t merged;  // frames up to there
        uint32_t frames;  // Python's among them
    } joint;
    // Of that stack: what it was made from, and its node.
    uint32_t native;
    uint32_t frame_count;
    uint64_t leaf_rsp;
    uint32_t node;

    // What became of stacks that end in native frames: by the node of their youngest Python frame and that of
    // the native frames alone.
    static constexpr uint32_t kEndings = 1024;
    struct Ending {
        uint32_t python;
        uint32_t native;
        uint32_t node;
    } endings[kEndings];

    void forget() {
        frames.forget();
        recurring.forget();
        known = 0;
        joint.native = 0;
        node = 0;
    }
    void forget_endings() {
        for (Ending& ending : endings) ending.native = 0;
    }
};

// The node of the thread's last capture with its Python frames. `native` is the node of the native ones, and
// what comes back where there are no others. `is_labelled`: it is the captured stack's label.
uint32_t with_python_frames(ThreadState* state, uint32_t native, bool is_labelled, uint32_t generation);

}  // namespace offheap::hook
