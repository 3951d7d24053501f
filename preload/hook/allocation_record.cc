#include "preload/hook/allocation_record.h"

#include "preload/hook/alternate_stack.h"
#include "preload/hook/stack_of_call.h"
#include "preload/record/heap_lane.h"
#include "preload/runtime/raw_syscall.h"

namespace offheap::hook {

using namespace offheap::runtime;
using wire::HeapEventKind;
using wire::HeapMode;

namespace {

// For the few allocations of threads that have no state.
record::HeapLane stray_sampler;

uint32_t this_thread() { return static_cast<uint32_t>(raw_syscall(kSysGettid)); }

// The use of a thread's lane. A signal handler that interrupts it must not enter a second time.
class LaneInUse {
  public:
    LaneInUse(ThreadState* state, uint64_t control) {
        if (__builtin_expect(state == nullptr, 0)) return;
        const auto stack_pointer = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
        if (__builtin_expect(state->heap_stack_pointer != 0, 0)) {
            if (state->heap_stack_pointer > stack_pointer || runs_on_alternate_stack()) return;
            // A use that entered below the present stack pointer is over: its handler left by siglongjmp.
            if (state->heap.window != nullptr) record::mend_lane(state->heap);
        }
        enter_lane(state, stack_pointer);
        state_ = state;
        if (__builtin_expect(state->heap_control != control || state->heap.window == nullptr, 0)) {
            follow_switch(control);
        }
    }
    ~LaneInUse() { leave(); }
    LaneInUse(const LaneInUse&) = delete;
    LaneInUse& operator=(const LaneInUse&) = delete;

    explicit operator bool() const { return state_ != nullptr; }

  private:
    // What rests in the window was recorded under another mode: it is published, and the lane is taken anew.
    __attribute__((noinline)) void follow_switch(uint64_t control) {
        if (state_->heap.window != nullptr) record::close_lane(process.channel, state_->heap);
        state_->heap_control = control;
        if (record::open_lane(process.channel, state_->heap, this_thread())) return;
        state_->heap_control = 0;  // so that the next call comes here again
        leave();
    }
    void leave() {
        if (state_ == nullptr) return;
        leave_lane(state_);
        state_ = nullptr;
    }

    ThreadState* state_ = nullptr;
};

ThreadState* usable_state() {
    OwnMapping fresh = {};
    ThreadState* state = thread_state(&fresh);
    if (__builtin_expect(fresh.bytes != 0, 0)) note_own_mapping(fresh.address, fresh.bytes);
    return state;
}

uint32_t heap_stack(ThreadState* state, const unwind::Registers& registers, uint64_t caller) {
    if (!process.configuration.capture_stacks) return 0;
    const uint32_t generation = __atomic_load_n(&process.generation, __ATOMIC_RELAXED);
    const CallStack stack = stack_of(state, registers, caller, generation);
    if (__builtin_expect(stack.truncated && !stack.repeated, 0))
        __atomic_fetch_add(&process.channel.header()->stacks_truncated, 1, __ATOMIC_RELAXED);
    return stack.node;
}

void note_nested() { __atomic_fetch_add(&process.channel.header()->heap_nested, 1, __ATOMIC_RELAXED); }

__attribute__((noinline)) void record_alone(uint64_t address, uint64_t bytes, uint64_t control,
                                            const unwind::Registers& registers) {
    note_nested();
    uint32_t sampled_every = 0;
    if (mode_of(control) == HeapMode::kSampled) {
        sampled_every = static_cast<uint32_t>(control >> 32);
        if (!record::is_sampled(stray_sampler, bytes, sampled_every) || !record::add_sampled(address)) return;
    }
    record::emit_alone(process.channel, this_thread(), HeapEventKind::kAllocation, address, bytes,
                       heap_stack(nullptr, registers, 0), sampled_every);
}

void emit_alone(HeapEventKind kind, uint64_t address) {
    note_nested();
    record::emit_alone(process.channel, this_thread(), kind, address, 0, 0, 0);
}

}  // namespace

__attribute__((noinline)) uint64_t heap_control_of_child() {
    return is_recording() ? __atomic_load_n(&process.channel.header()->heap_control, __ATOMIC_RELAXED) : 0;
}

__attribute__((noinline)) void* allocated_after_request(void* block, size_t bytes, uint64_t control) {
    return allocated_under(after_request(control), block, bytes);
}

__attribute__((noinline)) void* record_allocation(void* block, size_t bytes, uint64_t control, bool is_chosen,
                                                  const unwind::Registers& registers, uint64_t caller) {
    const auto address = reinterpret_cast<uint64_t>(block);
    ThreadState* const state = usable_state();
    const LaneInUse in_use(state, control);
    if (__builtin_expect(!in_use, 0)) {
        record_alone(address, bytes, control, registers);
        return block;
    }
    if (mode_of(control) == HeapMode::kExact) {
        record::note_allocation(process.channel, state->heap, address, bytes,
                                heap_stack(state, registers, caller));
        return block;
    }
    const auto mean_bytes = static_cast<uint32_t>(control >> 32);
    if (!is_chosen && !record::is_sampled(state->heap, bytes, mean_bytes)) return block;
    record::note_sampled(process.channel, state->heap, address, bytes, heap_stack(state, registers, caller),
                         mean_bytes);
    return block;
}

__attribute__((noinline)) void* record_allocation_elsewhere(void* block, size_t bytes, uint64_t control,
                                                            const unwind::Registers& registers,
                                                            uint64_t caller) {
    ThreadState* const state = current_state;
    if (__builtin_expect(is_ready(state, control), 1)) {
        enter_lane(state, registers.rsp);
        uint32_t stack = 0;
        if (python::is_present()) stack = last_stack(state, registers.rip, registers.rsp, registers.rbp);
        if (stack == 0) stack = recurring_stack(state, registers, caller);
        if (python::is_present() && stack != 0) stack = stack_with_python(state, registers.rsp, stack);
        if (__builtin_expect(stack != 0, 1)) {
            const auto address = reinterpret_cast<uint64_t>(block);
            if (!record::note_allocation_at_once(process.channel, state->heap, address, bytes, stack)) {
                return finish_allocation(state, block, bytes, stack);
            }
            leave_lane(state);
            return block;
        }
        leave_lane(state);
    }
    return record_allocation(block, bytes, control, false, registers, caller);
}

__attribute__((noinline)) void* finish_allocation(ThreadState* state, void* block, size_t bytes,
                                                  uint32_t stack) {
    record::note_allocation(process.channel, state->heap, reinterpret_cast<uint64_t>(block), bytes, stack);
    leave_lane(state);
    return block;
}

__attribute__((noinline)) void finish_release(ThreadState* state, void* block, wire::HeapEvent* entry) {
    record::release_entry(process.channel, state->heap, reinterpret_cast<uint64_t>(block), entry);
    leave_lane(state);
}

__attribute__((noinline)) void record_release(void* block, uint64_t control) {
    const auto address = reinterpret_cast<uint64_t>(block);
    if (is_requested(control)) {
        control = after_request(control);
        if (!is_followed(control, block)) return;
    }
    ThreadState* const state = usable_state();
    const LaneInUse in_use(state, control);
    if (__builtin_expect(!in_use, 0)) return emit_alone(HeapEventKind::kRelease, address);
    if (mode_of(control) == HeapMode::kExact) {
        record::note_release(process.channel, state->heap, address);
    } else {
        record::publish(process.channel, state->heap, HeapEventKind::kRelease, address, 0, 0, 0);
    }
}

__attribute__((noinline)) ReallocationUnderWay begin_reallocation(void* block, uint64_t control) {
    const auto address = reinterpret_cast<uint64_t>(block);
    ReallocationUnderWay under_way = {ReallocationUnderWay::By::lane, {}, 0};
    ThreadState* const state = usable_state();
    const LaneInUse in_use(state, control);
    if (__builtin_expect(!in_use, 0)) {
        emit_alone(HeapEventKind::kReallocation, address);
        under_way.by = ReallocationUnderWay::By::nested;
    } else if (mode_of(control) == HeapMode::kExact) {
        under_way.resting = record::begin_reallocation(process.channel, state->heap, address);
    } else {
        record::publish(process.channel, state->heap, HeapEventKind::kReallocation, address, 0, 0, 0);
    }
    return under_way;
}

__attribute__((noinline)) void end_reallocation(const ReallocationUnderWay& under_way, void* block,
                                                bool has_failed, uint64_t control) {
    const auto address = reinterpret_cast<uint64_t>(block);
    if (has_failed && mode_of(control) == HeapMode::kSampled) record::add_sampled(address);
    ThreadState* const state = usable_state();
    const LaneInUse in_use(state, control);
    if (__builtin_expect(!in_use || under_way.by == ReallocationUnderWay::By::nested, 0)) {
        if (has_failed) emit_alone(HeapEventKind::kUndone, address);
    } else if (mode_of(control) == HeapMode::kExact) {
        if (has_failed) {
            record::undo_reallocation(process.channel, state->heap, address, under_way.resting);
        } else {
            record::finish_reallocation(process.channel, state->heap, under_way.resting);
        }
    } else if (has_failed) {
        record::publish(process.channel, state->heap, HeapEventKind::kUndone, address, 0, 0, 0);
    }
}

}  // namespace offheap::hook
