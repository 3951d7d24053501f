// Records what malloc and its like do. The hooks inline what decides whether there is anything to record.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "native/wire/heap.h"
#include "preload/hook/process.h"
#include "preload/hook/requests.h"
#include "preload/hook/stack_of_call.h"
#include "preload/hook/thread_state.h"
#include "preload/python/interpreter.h"
#include "preload/record/heap_sampler.h"
#include "preload/unwind/registers.h"

namespace offheap::hook {

// ---- what happens rarely, or takes longer ----

// A forked child's first call: starts its recording. Returns its heap_control.
uint64_t heap_control_of_child();

// Notes a block while a request waits.
void* allocated_after_request(void* block, size_t bytes, uint64_t control);

// `is_chosen`: the sampling has chosen this allocation already.
void record_allocation(void* block, size_t bytes, uint64_t control, bool is_chosen,
                       const unwind::Registers& registers, uint64_t caller);
void record_release(void* block, uint64_t control);

// A release by realloc, which may fail to happen.
struct ReallocationUnderWay {
    enum class By : uint8_t { nobody, lane, nested } by;
    record::Reallocation resting;
    uint32_t thread_id;
};
ReallocationUnderWay begin_reallocation(void* block, uint64_t control);
void end_reallocation(const ReallocationUnderWay& under_way, void* block, bool has_failed, uint64_t control);

// ---- what every call passes ----

// A place in a hook, as the unwinder wants it, and the hook's return address.
struct Place {
    uint64_t rip, rsp, rbp, caller;
};

__attribute__((always_inline)) inline Place this_place() {
    Place here;
    __asm__ volatile("lea 0(%%rip), %0\n\tmov %%rsp, %1\n\tmov %%rbp, %2"
                     : "=r"(here.rip), "=r"(here.rsp), "=r"(here.rbp));
    here.caller = reinterpret_cast<uint64_t>(__builtin_return_address(0));
    return here;
}

// All registers of a place that was passed a moment ago, in the same function: what it keeps of its caller's
// registers it has saved by then, and what it has not saved it never changes.
__attribute__((always_inline)) inline unwind::Registers registers_at(const Place& place) {
    unwind::Registers registers;
    registers.rip = place.rip;
    registers.rsp = place.rsp;
    registers.rbp = place.rbp;
    static_assert(offsetof(unwind::Registers, rbx) == 24 && offsetof(unwind::Registers, r12) == 32);
    __asm__ volatile(
        "mov %%rbx, 24(%0)\n\t"
        "mov %%r12, 32(%0)\n\t"
        "mov %%r13, 40(%0)\n\t"
        "mov %%r14, 48(%0)\n\t"
        "mov %%r15, 56(%0)"
        :
        : "r"(&registers)
        : "memory");
    return registers;
}

// wire::Header's; mode `off` where nothing is recorded.
__attribute__((always_inline)) inline uint64_t heap_control() {
    const runtime::ProcessPage* const page = process.page;
    if (__builtin_expect(page == nullptr, 0)) return 0;
    const uint32_t state = __atomic_load_n(&page->state, __ATOMIC_ACQUIRE);
    // Before the channel is touched: a child that the kernel has just made has its parent's pointer to it,
    // and nothing there.
    if (__builtin_expect(state != runtime::kPageRecording, 0))
        return state == runtime::kPageFresh ? heap_control_of_child() : 0;
    return __atomic_load_n(&process.channel.header()->heap_control, __ATOMIC_ACQUIRE);  // [switch]
}

// No mode: heap_control() must be asked.
inline constexpr uint64_t kAskAtLength = 0xff;

// The same where it takes but a look, which it nearly always does; else kAskAtLength.
__attribute__((always_inline)) inline uint64_t heap_control_at_once() {
    const runtime::ProcessPage* const page = process.page;
    const bool is_recording =
        page != nullptr && __atomic_load_n(&page->state, __ATOMIC_ACQUIRE) == runtime::kPageRecording;
    if (__builtin_expect(!is_recording, 0)) return kAskAtLength;
    return __atomic_load_n(&process.channel.header()->heap_control, __ATOMIC_ACQUIRE);  // [switch]
}

__attribute__((always_inline)) inline wire::HeapMode mode_of(uint64_t control) {
    return static_cast<wire::HeapMode>(control & 0xff);
}

// A request waits to be answered by a thread that is not inside of its allocator.
__attribute__((always_inline)) inline bool is_requested(uint64_t control) {
    return __builtin_expect((control & wire::kRequestedBit) != 0, 0);
}

// Whether the thread's lane can be used as it is: under this control, and by nobody whom we have interrupted.
__attribute__((always_inline)) inline bool is_ready(const ThreadState* state, uint64_t control) {
    return state > kEndingThread && state->heap_control == control && state->heap_stack_pointer == 0;
}

// A signal handler that interrupts what stands between these finds `heap_stack_pointer` and keeps off the
// lane.
__attribute__((always_inline)) inline void enter_lane(ThreadState* state, uint64_t stack_pointer) {
    state->heap_stack_pointer = stack_pointer;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}
__attribute__((always_inline)) inline void leave_lane(ThreadState* state) {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    state->heap_stack_pointer = 0;
}

// Whether nothing is to be done for an allocation of so many bytes but to make it. Under a control that the
// thread has taken in, its countdown is of that control's mean, or has not begun.
__attribute__((always_inline)) inline bool is_passed_over(uint64_t control, uint64_t bytes) {
    if (mode_of(control) != wire::HeapMode::kSampled) return mode_of(control) == wire::HeapMode::kOff;
    ThreadState* const state = current_state;
    return state > kEndingThread && state->heap_control == control &&
           record::is_within_gap(state->heap, bytes);
}

// The same for a free.
__attribute__((always_inline)) inline bool is_passed_over(uint64_t control, const void* block) {
    if (mode_of(control) != wire::HeapMode::kSampled) return mode_of(control) == wire::HeapMode::kOff;
    return !record::may_be_sampled(reinterpret_cast<uint64_t>(block));
}

// Notes a block that the allocator has handed out, or nothing where it has refused. Of mode `exact`.
__attribute__((always_inline)) inline void* allocated_exactly(uint64_t control, void* block, size_t bytes) {
    if (__builtin_expect(block == nullptr, 0)) return block;
    ThreadState* const state = current_state;
    const Place here = this_place();
    if (__builtin_expect(is_ready(state, control), 1)) {
        enter_lane(state, here.rsp);
        uint32_t stack = known_stack(state, here.rip, here.rsp, here.rbp, here.caller);
        if (python::is_present() && stack != 0) stack = stack_with_python(state, here.rsp, stack);
        if (__builtin_expect(stack != 0, 1)) {
            record::note_allocation(process.channel, state->heap, reinterpret_cast<uint64_t>(block), bytes,
                                    stack);
            leave_lane(state);
            return block;
        }
        leave_lane(state);
    }
    record_allocation(block, bytes, control, false, registers_at(here), here.caller);
    return block;
}

// The same of mode `sampled`.
__attribute__((always_inline)) inline void* allocated_sampled(uint64_t control, void* block, size_t bytes) {
    if (block == nullptr) return block;
    ThreadState* const state = current_state;
    const Place here = this_place();
    const bool ready = is_ready(state, control);
    if (ready && !record::is_sampled(state->heap, bytes, control >> 32)) return block;
    record_allocation(block, bytes, control, ready, registers_at(here), here.caller);
    return block;
}

// The same of any mode.
__attribute__((always_inline)) inline void* allocated_under(uint64_t control, void* block, size_t bytes) {
    switch (mode_of(control)) {
        case wire::HeapMode::kExact:
            return allocated_exactly(control, block, bytes);
        case wire::HeapMode::kSampled:
            return allocated_sampled(control, block, bytes);
        case wire::HeapMode::kOff:
            return block;
        default:
            return allocated_after_request(block, bytes, control);
    }
}

__attribute__((always_inline)) inline void* allocated(void* block, size_t bytes) {
    return allocated_under(heap_control(), block, bytes);
}

// Whether a release is to be recorded, or a request waits.
__attribute__((always_inline)) inline bool is_followed(uint64_t control, void* block) {
    if (mode_of(control) == wire::HeapMode::kOff || block == nullptr) return false;
    // Above `exact` is a mode with kRequestedBit.
    if (mode_of(control) >= wire::HeapMode::kExact) return true;
    return record::take_sampled(reinterpret_cast<uint64_t>(block));
}

// Notes a block that is about to be freed and is_followed().
__attribute__((always_inline)) inline void record_followed(uint64_t control, void* block) {
    ThreadState* const state = current_state;
    if (__builtin_expect(mode_of(control) == wire::HeapMode::kExact && is_ready(state, control), 1)) {
        enter_lane(state, this_place().rsp);
        record::note_release(process.channel, state->heap, reinterpret_cast<uint64_t>(block));
        leave_lane(state);
        return;
    }
    record_release(block, control);
}

__attribute__((always_inline)) inline void released(void* block) {
    const uint64_t control = heap_control();
    if (is_followed(control, block)) record_followed(control, block);
}

// Notes what `call` does, which reallocates `block`.
template <typename Call>
__attribute__((always_inline)) inline void* reallocated(void* block, size_t bytes, const Call& call) {
    uint64_t control = heap_control();
    if (is_requested(control)) control = after_request(control);
    if (!is_followed(control, block)) return allocated_under(control, call(), bytes);
    const ReallocationUnderWay under_way = begin_reallocation(block, control);
    void* const result = call();
    // Of size 0, nothing may be the answer of an allocator that has freed the block.
    const bool has_failed = result == nullptr && bytes != 0;
    end_reallocation(under_way, block, has_failed, control);
    return allocated_under(control, result, bytes);
}

}  // namespace offheap::hook
