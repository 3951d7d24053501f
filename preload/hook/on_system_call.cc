// Every rewritten system-call instruction ends up here: record, do the call, record.
//
// A release (munmap, shmdt, a shrinking brk, the old range of mremap) is recorded before the call and an
// acquisition after it: as soon as the kernel has released a range, another thread may be given it, and its
// record must come later.
#include <sys/mman.h>

#include "native/wire/ring.h"
#include "preload/hook/alternate_stack.h"
#include "preload/hook/exit.h"
#include "preload/hook/file_mappings.h"
#include "preload/hook/labels.h"
#include "preload/hook/modules.h"
#include "preload/hook/operations.h"
#include "preload/hook/process.h"
#include "preload/hook/stack_of_call.h"
#include "preload/hook/system_call.h"
#include "preload/hook/thread_state.h"
#include "preload/python/interpreter.h"
#include "preload/record/emit.h"
#include "preload/runtime/raw_syscall.h"

namespace offheap::hook {

using namespace offheap::runtime;
using wire::Operation;
using wire::Phase;

namespace {

long do_call(const SystemCallFrame& frame) {
    return raw_syscall(static_cast<long>(frame.rax), static_cast<long>(frame.rdi),
                       static_cast<long>(frame.rsi), static_cast<long>(frame.rdx),
                       static_cast<long>(frame.r10), static_cast<long>(frame.r8),
                       static_cast<long>(frame.r9));
}

bool releases_first(Operation operation, const SystemCallFrame& frame) {
    switch (operation) {
        case Operation::kMunmap:
        case Operation::kShmdt:
        case Operation::kMremap:
            return true;
        case Operation::kBrk: {
            const uint64_t current = __atomic_load_n(&process.program_break, __ATOMIC_RELAXED);
            return frame.rdi != 0 && frame.rdi < current;
        }
        default:
            return false;
    }
}

// brk answers with the old break when it refuses, every other call with a negative errno.
bool has_failed(Operation operation, const SystemCallFrame& frame, long result) {
    if (operation == Operation::kBrk) return static_cast<uint64_t>(result) != frame.rdi;
    return is_error(result);
}

uint64_t segment_bytes(uint64_t id) {
    struct {
        uint8_t permissions[48];
        uint64_t segment_bytes;
        uint8_t rest[56];
    } segment = {};
    constexpr long kIpcStat = 2;
    const long result = raw_syscall(kSysShmctl, static_cast<long>(id), kIpcStat, as_argument(&segment));
    return is_error(result) ? 0 : segment.segment_bytes;
}

// The thread's note of the call under way, for calls that a signal handler makes inside it.
class UnderWay {
  public:
    UnderWay(ThreadState* state, Operation operation, uint64_t stack_pointer) : state_(state) {
        if (state_ == nullptr) return;
        // A handler may have left by siglongjmp: a call that entered where this one does or below is over,
        // and whether it was recorded nobody knows.
        if (__builtin_expect(state_->under_way != 0, 0) && state_->stack_pointer <= stack_pointer &&
            !runs_on_alternate_stack()) {
            abandon();
        }
        outer_ = static_cast<Operation>(state_->under_way);
        outer_stack_pointer_ = state_->stack_pointer;
        outer_unfinished_ = state_->unfinished;
        state_->unfinished = 0;
        state_->under_way = static_cast<uint32_t>(operation);
        state_->stack_pointer = stack_pointer;
    }
    ~UnderWay() {
        if (state_ == nullptr) return;
        state_->under_way = static_cast<uint32_t>(outer_);
        state_->stack_pointer = outer_stack_pointer_;
        state_->unfinished = outer_unfinished_;
    }
    UnderWay(const UnderWay&) = delete;
    UnderWay& operator=(const UnderWay&) = delete;

    Operation outer() const { return outer_; }

  private:
    void abandon() {
        // Readers would wait for it.
        if (state_->unfinished != 0) wire::give_up(process.channel.header(), state_->unfinished - 1);
        state_->unfinished = 0;
        state_->under_way = 0;
        process.channel.degrade(wire::Degradation::kCallsAbandoned);
    }

    ThreadState* state_;
    Operation outer_ = Operation::kNone;
    uint64_t outer_stack_pointer_ = 0;
    uint64_t outer_unfinished_ = 0;
};

// What the call takes away or protects may be part of what the unwinder believes readable (a coroutine's
// stack).
void forget_window(ThreadState* state, Operation operation, const SystemCallFrame& frame) {
    if (state == nullptr || operation == Operation::kMadvise || operation == Operation::kBrk) return;
    if (frame.rdi < state->window.high && frame.rdi + frame.rsi > state->window.low) state->window = {};
}

// The same for what is known of Python's memory, before the call and after it.
void forget_python_memory(Operation operation, const SystemCallFrame& frame) {
    if (!python::is_present()) return;
    const uint64_t program_break = __atomic_load_n(&process.program_break, __ATOMIC_RELAXED);
    switch (operation) {
        case Operation::kMmap:
            if ((frame.r10 & MAP_FIXED) == 0) return;
            break;
        case Operation::kMremap:
            if ((frame.r10 & MREMAP_FIXED) != 0) python::forget_memory(frame.r8, frame.rdx);
            break;
        case Operation::kBrk:
            if (frame.rdi < program_break) python::forget_memory(frame.rdi, program_break - frame.rdi);
            return;
        case Operation::kShmdt:
            return python::forget_memory(0, ~uint64_t{0});
        case Operation::kMunmap:
        case Operation::kMprotect:
        case Operation::kPkeyMprotect:
        case Operation::kRemapFilePages:
            break;
        default:
            return;
    }
    python::forget_memory(frame.rdi, frame.rsi);
    if (operation == Operation::kMunmap) python::memory_unmapped(frame.rdi, frame.rsi);
}

wire::Event describe(const SystemCallFrame& frame, Operation operation, Operation outer) {
    wire::Event event = {};
    event.operation = static_cast<uint8_t>(operation);
    event.enclosing = static_cast<uint8_t>(outer);
    event.arg0 = frame.rdi;
    event.arg1 = frame.rsi;
    event.arg2 = frame.rdx;
    event.arg3 = frame.r10;
    event.arg4 = frame.r8;
    event.arg5 = frame.r9;
    if (outer != Operation::kNone) {
        event.flags |= wire::kFlagNested;
        __atomic_fetch_add(&process.channel.header()->events_nested, 1, __ATOMIC_RELAXED);
    }
    return event;
}

long record_call(const SystemCallFrame& frame, Operation operation) {
    OwnMapping fresh = {};
    ThreadState* state = thread_state(&fresh);
    if (fresh.bytes != 0) note_own_mapping(fresh.address, fresh.bytes);
    const UnderWay under_way(state, operation, frame.stack_pointer());
    uint64_t* const unfinished = state == nullptr ? nullptr : &state->unfinished;

    wire::Event event = describe(frame, operation, under_way.outer());
    identify_thread(state, frame.stack_pointer(), &event);
    capture_stack(state, frame, &event);
    if (operation == Operation::kMunmap) {
        range_released(frame.rdi, frame.rsi);
        forget_pending_modules(frame.rdi, frame.rsi);
    }
    forget_window(state, operation, frame);
    forget_python_memory(operation, frame);

    uint64_t begun = record::kLost;
    const bool releases = releases_first(operation, frame);
    if (releases) {
        event.phase = static_cast<uint8_t>(Phase::kBegin);
        begun = record::emit(process.channel, event, unfinished);
    }
    const long result = do_call(frame);
    forget_python_memory(operation, frame);
    event.result = static_cast<uint64_t>(result);
    const bool failed = has_failed(operation, frame, result);
    if (releases) {
        if (operation != Operation::kMremap && !failed) {
            if (operation == Operation::kBrk)
                __atomic_store_n(&process.program_break, frame.rdi, __ATOMIC_RELAXED);
            return result;
        }
        if (begun == record::kLost) return result;
        event.refers_to = begun;
        event.phase = static_cast<uint8_t>(failed ? Phase::kFailed : Phase::kEnd);
    } else if (operation == Operation::kMmap && !failed) {
        note_file_mapping(frame, static_cast<uint64_t>(result), &event);
        label_mapping(event);
    } else if (operation == Operation::kShmat && !failed) {
        event.extra = segment_bytes(frame.rdi);
    } else if (operation == Operation::kBrk) {
        __atomic_store_n(&process.program_break, static_cast<uint64_t>(result), __ATOMIC_RELAXED);
    } else if (operation == Operation::kMprotect) {
        rewrite_pending_modules(event.thread_id, frame.rdi);
    }
    record::emit(process.channel, event, unfinished);
    return result;
}

}  // namespace
}  // namespace offheap::hook

extern "C" void offheap_on_system_call(offheap::hook::SystemCallFrame* frame) {
    using namespace offheap::hook;
    if (frame->rax == offheap::runtime::kSysExitGroup) note_exit(static_cast<uint32_t>(frame->rdi));
    const Operation operation = operation_of(frame->rax);
    const bool recorded = operation != Operation::kNone && is_recording();
    frame->rax = static_cast<uint64_t>(recorded ? record_call(*frame, operation) : do_call(*frame));
}
