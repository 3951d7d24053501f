// A thread's heap events, from the hook to its lane in the channel (native/wire/heap.h).
//
// All functions bear being abandoned at any instruction: a signal handler may leave by siglongjmp (who finds
// that calls mend_lane()), and the process may be killed. None is re-entered for one lane: who is interrupted
// inside one calls emit_alone().
#pragma once

#include <stdint.h>

#include "native/wire/heap.h"
#include "preload/record/channel.h"
#include "preload/record/heap_publish.h"      // the lane's state; publish()
#include "preload/record/heap_sampled_set.h"  // mode `sampled`: take_sampled(), forget_sampled()
#include "preload/record/heap_sampler.h"      // mode `sampled`: is_sampled()
#include "preload/record/heap_window.h"       // mode `exact`: note_allocation(), note_release()

namespace offheap::record {

// Takes a lane for the thread; false where there is none to be had.
bool open_lane(Channel& channel, HeapLane& lane, uint32_t thread_id);

// Publishes what rests in the window and gives the lane back.
void close_lane(Channel& channel, HeapLane& lane);

// An allocation that is_sampled() chose.
void note_sampled(Channel& channel, HeapLane& lane, uint64_t address, uint64_t bytes, uint32_t stack,
                  uint32_t mean_bytes);

// publish() from a thread that has no lane or is interrupted at using it: over a lane borrowed for the
// moment.
void emit_alone(Channel& channel, uint32_t thread_id, wire::HeapEventKind kind, uint64_t address,
                uint64_t bytes, uint32_t stack, uint32_t sampled_every);

}  // namespace offheap::record
