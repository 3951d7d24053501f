#include "preload/hook/stack_of_call.h"

#include "preload/hook/process.h"
#include "preload/record/emit.h"
#include "preload/runtime/raw_syscall.h"

namespace offheap::hook {

using namespace offheap::runtime;

namespace {

// A capture without a thread state, or one that interrupted another, has this much room on the stack: it may
// be a signal handler's small alternate stack.
constexpr uint32_t kEmergencyFrames = 64;
constexpr uint64_t kSameStackBytes = 1u << 18;

unwind::Registers registers_of(const SystemCallFrame& frame) {
    return {frame.rip, frame.stack_pointer(), frame.rbp, frame.rbx, frame.r12, frame.r13, frame.r14,
            frame.r15};
}

void store(record::StackMemory* memory, const uint64_t* frames, unwind::Capture capture, wire::Event* event) {
    const record::InternedStack stack =
        record::intern_stack(process.channel, memory, frames, capture.count, event->generation);
    event->stack = stack.node;
    if (stack.cut || capture.stop != unwind::Stop::end_of_stack) {
        event->flags |= wire::kFlagStackTruncated;
        __atomic_fetch_add(&process.channel.header()->stacks_truncated, 1, __ATOMIC_RELAXED);
    }
}

__attribute__((noinline)) void capture_in_emergency(const SystemCallFrame& frame, wire::Event* event) {
    uint64_t frames[kEmergencyFrames];
    unwind::StackWindow window = {};
    store(nullptr, frames, unwind::capture(registers_of(frame), window, frames, kEmergencyFrames), event);
}

}  // namespace

void identify_thread(ThreadState* state, uint64_t stack_pointer, wire::Event* event) {
    if (state == nullptr) {
        event->thread_id = static_cast<uint32_t>(raw_syscall(kSysGettid));
        return;
    }
    // The number is asked for anew in a forked child, and far from where it was asked for: a raw clone
    // without CLONE_SETTLS shares its creator's thread-local storage, and only the stack tells the two apart.
    const uint64_t distance = stack_pointer - state->identified_at + kSameStackBytes;
    if (state->process_id != process.page->process_id || distance > 2 * kSameStackBytes) {
        state->thread_id = static_cast<uint32_t>(raw_syscall(kSysGettid));
        state->process_id = process.page->process_id;
        state->identified_at = stack_pointer;
    }
    event->thread_id = state->thread_id;
}

void capture_stack(ThreadState* state, const SystemCallFrame& frame, wire::Event* event) {
    event->generation = __atomic_load_n(&process.generation, __ATOMIC_RELAXED);
    if (!process.configuration.capture_stacks) return;
    // A capture under way above the present stack pointer is another one, interrupted; below, its handler
    // left by siglongjmp and it is over.
    const bool interrupted =
        state != nullptr && state->capturing != 0 && state->capture_stack_pointer > frame.stack_pointer();
    if (state == nullptr || interrupted) {
        capture_in_emergency(frame, event);
        return;
    }
    state->capture_stack_pointer = frame.stack_pointer();
    __atomic_store_n(&state->capturing, 1, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    unwind::Capture capture =
        unwind::capture(registers_of(frame), state->window, state->frames, state->frame_capacity);
    while (capture.stop == unwind::Stop::capacity) {
        OwnMapping fresh = {};
        if (!grow_frames(state, &fresh)) break;
        note_own_mapping(fresh.address, fresh.bytes);
        capture = unwind::capture(registers_of(frame), state->window, state->frames, state->frame_capacity);
    }
    store(&state->stack_memory, state->frames, capture, event);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&state->capturing, 0, __ATOMIC_RELAXED);
}

}  // namespace offheap::hook
