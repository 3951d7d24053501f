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
// Returns the block.
void* record_allocation(void* block, size_t bytes, uint64_t control, bool is_chosen,
                        const unwind::Registers& registers, uint64_t caller);
void record_release(void* block, uint64_t control);

// Mode `exact`: an allocation from another place than the thread's last one, or of a thread whose lane isn't
// ready. Returns the block.
void* record_allocation_elsewhere(void* block, size_t bytes, uint64_t control,
                                  const unwind::Registers& registers, uint64_t caller);
// With the thread's lane entered, which they leave: an allocation that needs more than a place in the window,
// and a release of a block that isn't the thread's youngest. The first returns the block.
void* finish_allocation(ThreadState* state, void* block, size_t bytes, uint32_t stack);
void finish_release(ThreadState* state, void* block, wire::HeapEvent* entry);

// A release by realloc, which may fail to happen.
struct ReallocationUnderWay {
    enum class By : uint8_t { nobody, lane, nested } by;
    record::Reallocation resting;
    uint32_t thread_id;
};
ReallocationUnderWay begin_reallocation(void* block, uint64_t control);
void end_reallocation(const ReallocationUnderWay& under_way, void* block, bool has_failed, uint64_t control);

// ---- what every call passes ----

// The instruction that comes next in a hook: a place that the unwinder can start from.
__attribute__((always_inline)) inline uint64_t this_place() {
    uint64_t rip;
    __asm__ volatile("lea 0(%%rip), %0" : "=r"(rip));
    return rip;
}
__attribute__((always_inline)) inline uint64_t stack_pointer() {
    uint64_t rsp;
    __asm__ volatile("mov %%rsp, %0" : "=r"(rsp));
    return rsp;
}
// The hook's caller's, unless the hook has saved it.
__attribute__((always_inline)) inline uint64_t frame_pointer() {
    uint64_t rbp;
    __asm__ volatile("mov %%rbp, %0" : "=r"(rbp));
    return rbp;
}

// All registers of a place that was passed a moment ago, in the same function: what it keeps of its caller's
// registers it has saved by then, and what it has not saved it never changes.
__attribute__((always_inline)) inline unwind::Registers registers_at(uint64_t place) {
    unwind::Registers registers;
    registers.rip = place;
    static_assert(offsetof(unwind::Registers, rsp) == 8 && offsetof(unwind::Registers, rbx) == 24);
    __asm__ volatile(
        "mov %%rsp, 8(%0)\n\t"
        "mov %%rbp, 16(%0)\n\t"
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

__attribute__((always_inline)) inline uint64_t return_address() {
    return reinterpret_cast<uint64_t>(__builtin_return_address(0));
}

// wire::Header's; mode `off` where nothing is recorded.
__attribute__((always_inline)) inline uint64_t heap_control() {
    const runtime::ProcessPage* const page = process.page;
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
    const uint64_t* const control = __atomic_load_n(&process.page->heap_control, __ATOMIC_ACQUIRE);
    if (__builtin_expect(control == nullptr, 0)) return kAskAtLength;
    return __atomic_load_n(control, __ATOMIC_ACQUIRE);  // [switch]
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
    if (__builtin_expect(mode_of(control) != wire::HeapMode::kSampled, 0))
        return mode_of(control) == wire::HeapMode::kOff;
    ThreadState* const state = current_state;
    return state > kEndingThread && state->heap_control == control &&
           record::is_within_gap(state->heap, bytes);
}

// The same for a free.
__attribute__((always_inline)) inline bool is_passed_over(uint64_t control, const void* block) {
    if (__builtin_expect(mode_of(control) != wire::HeapMode::kSampled, 0))
        return mode_of(control) == wire::HeapMode::kOff;
    return !record::may_be_sampled(reinterpret_cast<uint64_t>(block));
}

// Notes a block that the allocator has handed out, or nothing where it has refused. Of mode `exact`. What
// happens rarely ends it, so that nothing has to be kept over a call.
__attribute__((always_inline)) inline void* allocated_exactly(uint64_t control, void* block, size_t bytes) {
    if (__builtin_expect(block == nullptr, 0)) return block;
    ThreadState* const state = current_state;
    const uint64_t here = this_place();
    if (__builtin_expect(is_ready(state, control) && !python::is_present(), 1)) {
        const uint64_t rsp = stack_pointer();
        enter_lane(state, rsp);
        const uint32_t stack = last_stack(state, here, rsp, frame_pointer());
        if (__builtin_expect(stack != 0, 1)) {
            if (!record::note_allocation_at_once(process.channel, state->heap,
                                                 reinterpret_cast<uint64_t>(block), bytes, stack)) {
                return finish_allocation(state, block, bytes, stack);
            }
            leave_lane(state);
            return block;
        }
        leave_lane(state);
    }
    return record_allocation_elsewhere(block, bytes, control, registers_at(here), return_address());
}

// The same of mode `sampled`.
__attribute__((always_inline)) inline void* allocated_sampled(uint64_t control, void* block, size_t bytes) {
    if (block == nullptr) return block;
    ThreadState* const state = current_state;
    const uint64_t here = this_place();
    const bool ready = is_ready(state, control);
    if (ready && !record::is_sampled(state->heap, bytes, control >> 32)) return block;
    return record_allocation(block, bytes, control, ready, registers_at(here), return_address());
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
        enter_lane(state, stack_pointer());
        const auto address = reinterpret_cast<uint64_t>(block);
        wire::HeapEvent* const entry = record::find_entry(state->heap, address);
        if (!record::note_release_at_once(state->heap, entry, address)) {
            return finish_release(state, block, entry);
        }
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
