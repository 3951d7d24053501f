// A thread's heap events, from the hook to its lane in the channel (native/wire/heap.h).
//
// All functions bear being abandoned at any instruction: a signal handler may leave by siglongjmp, and the
// process may be killed. None is re-entered for one lane: who is interrupted inside one calls emit_alone().
#pragma once

#include <stdint.h>

#include "native/wire/heap.h"
#include "preload/record/channel.h"

namespace offheap::record {

// Private to the thread; all zeros at first and after close_lane().
struct HeapLane {
    wire::HeapEvent* next;  // where the next event goes; equal to `end` where a chunk is wanted
    wire::HeapEvent* end;
    wire::HeapEvent* window;  // null while the thread has no lane
    wire::Temporaries* temporaries;
    wire::Lane* lane;
    uint64_t head;
    int64_t bytes_to_sample;  // until the next allocation that `sampled` records
    uint64_t random;
    uint32_t number;
    uint32_t chunk;
};

// Takes a lane for the thread; false where there is none to be had.
bool open_lane(Channel& channel, HeapLane& lane, uint32_t thread_id);

// Publishes what rests in the window and gives the lane back.
void close_lane(Channel& channel, HeapLane& lane);

// ---- mode `exact` ----

void note_allocation(Channel& channel, HeapLane& lane, uint64_t address, uint64_t bytes, uint32_t stack);

// Before the block is freed.
void note_release(Channel& channel, HeapLane& lane, uint64_t address);

// A release that may fail to happen.
struct Reallocation {
    wire::HeapEvent resting;  // what the window held, else with address 0
};
Reallocation begin_reallocation(Channel& channel, HeapLane& lane, uint64_t address);
void finish_reallocation(Channel& channel, HeapLane& lane, const Reallocation& reallocation);
void undo_reallocation(Channel& channel, HeapLane& lane, uint64_t address, const Reallocation& reallocation);

// ---- mode `sampled` ----

// Whether to record an allocation of so many bytes. Poisson by bytes: each byte starts a sample with
// probability 1/mean, so a block is recorded with probability 1 - exp(-bytes/mean).
bool is_sampled(HeapLane& lane, uint64_t bytes, uint32_t mean_bytes);

void note_sampled(Channel& channel, HeapLane& lane, uint64_t address, uint64_t bytes, uint32_t stack,
                  uint32_t mean_bytes);

// Whether a block that is about to be freed was recorded; it no longer counts as such then, and the caller
// must tell its release by publish().
bool take_sampled(uint64_t address);

// ---- any ----

// Publishes an event as it is, at the present time.
void publish(Channel& channel, HeapLane& lane, wire::HeapEventKind kind, uint64_t address, uint64_t bytes,
             uint32_t stack, uint32_t sampled_every);

// The same from a thread that has no lane or is interrupted at using it: over a lane borrowed for the moment.
void emit_alone(Channel& channel, uint32_t thread_id, wire::HeapEventKind kind, uint64_t address,
                uint64_t bytes, uint32_t stack, uint32_t sampled_every);

// In a forked child, before its channel is used: forgets the parent's sampled blocks.
void forget_sampled();

}  // namespace offheap::record
