// A thread's stack with its Python frames: each stands above the call of the evaluator that runs it, and
// below the native code that it calls.
#pragma once

#include <stdint.h>

#include "preload/python/code.h"
#include "preload/python/remembered_frames.h"

namespace offheap::hook {

struct ThreadState;

// What a thread that runs Python remembers.
struct PythonStack {
    uint64_t channel_id;  // the numbers of code, and nodes, are this channel's
    uint32_t generation;  // the nodes are below this one's root
    python::KnownCode known_code;
    python::RememberedFrames frames;
    // Native and Python frames as one stack, root first, as it was interned last, and its nodes.
    uint64_t* keys;
    uint32_t* nodes;
    uint32_t capacity;  // of these two
    uint32_t known;     // of the frames nearest the root: they have nodes
    // Of that stack: what it was made from, and its node.
    uint32_t native;
    uint32_t frame_count;
    uint64_t leaf_rsp;
    uint32_t node;

    void forget() {
        frames.forget();
        known = 0;
        node = 0;
    }
};

// The node of the thread's last capture with its Python frames. `native` is the node of the native ones, and
// what comes back where there are no others.
uint32_t with_python_frames(ThreadState* state, uint32_t native, uint32_t generation);

}  // namespace offheap::hook
