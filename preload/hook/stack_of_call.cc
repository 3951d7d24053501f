#include "preload/hook/stack_of_call.h"

#include "preload/hook/process.h"
#include "preload/hook/python_stack.h"
#include "preload/python/interpreter.h"
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

CallStack told(record::InternedStack stack, unwind::Stop stop) {
    return {stack.node, stack.cut || stop != unwind::Stop::end_of_stack, false};
}

// A walk that needs no state. `handler_runs`: whether it can be that a signal handler does.
__attribute__((noinline)) CallStack capture_in_emergency(const unwind::Registers& registers,
                                                         uint32_t generation, bool* handler_runs) {
    uint64_t frames[kEmergencyFrames];
    unwind::StackWindow window = {};
    const unwind::Capture capture = unwind::capture(registers, window, frames, kEmergencyFrames);
    *handler_runs = capture.stop != unwind::Stop::end_of_stack;
    for (uint32_t i = 1; i < capture.count; ++i) {
        *handler_runs |= frames[i] >> wire::kKeyKindShift == wire::kKeyExactAddress;
    }
    const record::StackFrames leaf_first{frames + capture.count - 1, -1, capture.count};
    return told(record::intern_stack(process.channel, nullptr, leaf_first, generation), capture.stop);
}

bool make_room(ThreadState* state) {
    OwnMapping fresh = {};
    if (!grow_stack(state, &fresh)) return false;
    note_own_mapping(fresh.address, fresh.bytes);
    return true;
}

// Stacks get no labels from another channel, or generation.
void keep_labels_of(ThreadState* state, uint64_t channel_id, uint32_t generation) {
    if (__builtin_expect(state->labels_channel_id == channel_id && state->labels_generation == generation,
                         1)) {
        return;
    }
    forget_stacks(state);
    state->labels_channel_id = channel_id;
    state->labels_generation = generation;
}

// Threads that allocate little have no use for the memory.
constexpr uint32_t kWalksBeforeRecurring = 256;

bool has_recurring(ThreadState* state) {
    if (__builtin_expect(state->recurring != nullptr, 1)) return true;
    OwnMapping fresh = {};
    if (++state->walks < kWalksBeforeRecurring || !add_recurring(state, &fresh)) return false;
    note_own_mapping(fresh.address, fresh.bytes);
    return true;
}

void capture_with_room(ThreadState* state, const unwind::Registers& registers) {
    do {
        state->stack.capture_after(*state->last, registers, state->window);
        state->last = &state->stack;
    } while (state->stack.stop() == unwind::Stop::capacity && make_room(state));
}

// The test mode: compares the capture with a whole walk and counts.
__attribute__((noinline)) void verify(ThreadState* state, const unwind::Registers& registers) {
    using Verdict = unwind::RememberedStack::Verdict;
    Verdict verdict = state->last->verify(registers, state->window);
    if (verdict == Verdict::no_room && state->last != &state->stack) {
        capture_with_room(state, registers);
        verdict = state->stack.verify(registers, state->window);
    }
    if (verdict == Verdict::no_room) {
        // What comes back is a whole walk's: the next ones are verified.
        if (make_room(state)) capture_with_room(state, registers);
        return;
    }
    wire::Header* header = process.channel.header();
    __atomic_fetch_add(&header->captures_verified, 1, __ATOMIC_RELAXED);
    if (verdict == Verdict::different) __atomic_fetch_add(&header->capture_mismatches, 1, __ATOMIC_RELAXED);
}

unwind::CaptureStart start_of(const unwind::Registers& registers, uint64_t caller) {
    return {wire::kKeyExactAddress << wire::kKeyKindShift | registers.rip, registers.rsp, registers.rbp,
            caller};
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

namespace {

// While `capturing` is set, a signal handler's calls keep off what is remembered, but for one on an alternate
// stack above, which takes the capture for one that was left: it shows in the count of captures.
uint32_t begin_capture(ThreadState* state, uint64_t stack_pointer) {
    const uint32_t turn = ++state->captures;
    state->capture_stack_pointer = stack_pointer;
    __atomic_store_n(&state->capturing, 1, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return turn;
}
bool is_undisturbed(const ThreadState* state, uint32_t turn) {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return __atomic_load_n(&state->captures, __ATOMIC_RELAXED) == turn;
}
void end_capture(ThreadState* state) {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&state->capturing, 0, __ATOMIC_RELAXED);
}

// The stack is `*state->last` then.
void capture(ThreadState* state, const unwind::Registers& registers, uint64_t caller) {
    // Where nothing is verified, recurring_stack() has looked already.
    const bool is_verified = process.configuration.verify_every != 0;
    if (__builtin_expect(is_verified, 0) && caller != 0 && state->recurring != nullptr) {
        unwind::RememberedStack* const found =
            state->recurring->find(start_of(registers, caller), state->window);
        if (found != nullptr) {
            state->last = found;
            return;
        }
    }
    // A system call may well come from where the last one did.
    if (caller == 0 && state->last == &state->stack) {
        state->stack.capture(registers, state->window);
        if (state->stack.stop() != unwind::Stop::capacity || !make_room(state)) return;
    }
    capture_with_room(state, registers);
}

// Keeps what was captured, if it recurs.
void keep_recurring(ThreadState* state, const unwind::Registers& registers, uint64_t caller) {
    if (state->last != &state->stack || !has_recurring(state)) return;
    unwind::RememberedStack* const kept = state->recurring->keep(start_of(registers, caller), state->stack);
    if (kept != nullptr) state->last = kept;
}

}  // namespace

CallStack stack_of(ThreadState* state, const unwind::Registers& registers, uint64_t caller,
                   uint32_t generation) {
    bool handler_runs = false;
    if (state == nullptr) return capture_in_emergency(registers, generation, &handler_runs);
    // A capture under way above the present stack pointer is another one, interrupted; below, its handler
    // left by siglongjmp and it is over.
    if (__builtin_expect(state->capturing != 0, 0)) {
        if (state->capture_stack_pointer > registers.rsp) {
            const CallStack stack = capture_in_emergency(registers, generation, &handler_runs);
            // Left likewise and called from deeper since, if no handler is running.
            if (!handler_runs) state->capturing = 0;
            return stack;
        }
        forget_stacks(state);
    }
    const uint32_t turn = begin_capture(state, registers.rsp);
    const uint64_t channel_id = process.channel.header()->channel_id;
    keep_labels_of(state, channel_id, generation);
    capture(state, registers, caller);
    const uint32_t verify_every = process.configuration.verify_every;
    if (__builtin_expect(verify_every != 0, 0) && turn % verify_every == 0) verify(state, registers);
    unwind::RememberedStack& captured = *state->last;
    constexpr int64_t kStride = sizeof(unwind::RememberedFrame) / sizeof(uint64_t);
    const record::StackFrames frames{&captured.frames()->frame, kStride, captured.count()};
    record::StackNodes nodes{captured.labels(), unwind::RememberedStack::kLabelStride, captured.labelled(),
                             state->recent_children};
    CallStack stack =
        told(record::intern_stack(process.channel, &nodes, frames, generation), captured.stop());
    captured.set_labelled(nodes.known);
    stack.repeated = captured.unchanged() == captured.count();
    if (caller != 0 && !stack.repeated) keep_recurring(state, registers, caller);
    if (python::is_present()) {
        const bool is_labelled = stack.node != 0 && state->last->label() == stack.node;
        stack.node = with_python_frames(state, stack.node, is_labelled, generation);
    }
    if (__builtin_expect(!is_undisturbed(state, turn), 0)) {
        // A handler on an alternate stack above took this capture for one that is over, and its memory.
        forget_stacks(state);
        stack = capture_in_emergency(registers, generation, &handler_runs);
    }
    end_capture(state);
    return stack;
}

uint32_t recurring_stack(ThreadState* state, const unwind::Registers& registers, uint64_t caller) {
    if (state->recurring == nullptr) return 0;
    if ((state->capturing | process.configuration.verify_every) != 0) return 0;
    const uint32_t turn = __atomic_load_n(&state->captures, __ATOMIC_RELAXED);
    unwind::RememberedStack* const stack = state->recurring->find(start_of(registers, caller), state->window);
    if (stack == nullptr) return 0;
    const uint32_t node = stack->label();
    if (__atomic_load_n(&state->captures, __ATOMIC_RELAXED) != turn) return 0;
    state->last = stack;
    return node;
}

__attribute__((noinline)) uint32_t stack_with_python(ThreadState* state, uint64_t stack_pointer,
                                                     uint32_t native) {
    const uint32_t turn = begin_capture(state, stack_pointer);
    // As repeated_label() or recurring_stack() has told it.
    const bool is_labelled = true;
    const uint32_t node = with_python_frames(state, native, is_labelled, state->labels_generation);
    const bool undisturbed = is_undisturbed(state, turn);
    if (__builtin_expect(!undisturbed, 0)) forget_stacks(state);
    end_capture(state);
    return undisturbed ? node : 0;
}

void capture_stack(ThreadState* state, const SystemCallFrame& frame, wire::Event* event) {
    event->generation = __atomic_load_n(&process.generation, __ATOMIC_RELAXED);
    if (!process.configuration.capture_stacks) return;
    const CallStack stack = stack_of(state, registers_of(frame), 0, event->generation);
    event->stack = stack.node;
    if (!stack.truncated) return;
    event->flags |= wire::kFlagStackTruncated;
    __atomic_fetch_add(&process.channel.header()->stacks_truncated, 1, __ATOMIC_RELAXED);
}

}  // namespace offheap::hook
