#include "preload/hook/requests.h"

#include <errno.h>

#include "native/wire/request.h"
#include "preload/hook/allocation_record.h"
#include "preload/hook/allocator.h"
#include "preload/hook/allocator_statistics.h"
#include "preload/hook/alternate_stack.h"
#include "preload/hook/memory_return.h"
#include "preload/hook/size_classes.h"
#include "preload/record/emit.h"
#include "preload/unwind/capture.h"

namespace offheap::hook {

using namespace offheap::runtime;

namespace {

// Of this much a stack is looked through: what an allocator or a signal has to do with it is near the leaf.
constexpr uint32_t kFramesLookedAt = 256;

bool blocks_signals() {
    uint64_t blocked = 0;
    raw_syscall(kSysSigprocmask, 0, 0, as_argument(&blocked), sizeof blocked);
    return blocked != 0;
}

// Above the hooks that we are in, nothing of ours, of the allocator's, and no frame that a signal
// interrupted.
bool is_plain_stack(const unwind::Registers& registers) {
    uint64_t frames[kFramesLookedAt];
    unwind::StackWindow window = {};
    const unwind::Capture stack = unwind::capture(registers, window, frames, kFramesLookedAt);
    uint32_t at = 0;
    while (at < stack.count && record::own_code.holds(frames[at])) ++at;
    for (; at < stack.count; ++at) {
        const uint64_t address = frames[at] & ((1ULL << wire::kKeyKindShift) - 1);
        if (frames[at] >> wire::kKeyKindShift == wire::kKeyExactAddress) return false;
        // A return address may lie behind the function that it returns to.
        if (record::own_code.holds(frames[at]) || is_allocators(address - 1)) return false;
    }
    // A handler blocks its own signal, but for the few that ask not to.
    return stack.stop == unwind::Stop::end_of_stack || !blocks_signals();
}

// Whether the thread holds none of its allocator's locks, as far as can be told: it could not wait for
// itself.
bool may_call_allocator(const unwind::Registers& registers) {
    const ThreadState* const state = current_state;
    if (state == kEndingThread || runs_on_alternate_stack()) return false;
    // Within another hook of ours: a call that is no longer under way was entered below.
    if (state != nullptr && state->heap_stack_pointer > registers.rsp) return false;
    if (state != nullptr && state->under_way != 0 && state->stack_pointer > registers.rsp) return false;
    return is_plain_stack(registers);
}

void answer(wire::Header* header, wire::Answer answer, uint32_t source, const uint64_t* values,
            uint32_t count) {
    for (uint32_t i = 0; i < count && i < wire::kAnswerValues; ++i) {
        __atomic_store_n(&header->answer_values.at[i], values[i], __ATOMIC_RELAXED);
    }
    __atomic_store_n(&header->answer_source, source, __ATOMIC_RELAXED);
    __atomic_store_n(&header->answer, static_cast<uint32_t>(answer), __ATOMIC_RELAXED);
}

void trim(wire::Header* header) {
    const wire::MemoryReturn by = memory_return();
    const bool is_offered = by != wire::MemoryReturn::kNothing;
    const uint64_t said = is_offered ? return_memory() : 0;
    answer(header, is_offered ? wire::Answer::kDone : wire::Answer::kNotOffered, static_cast<uint32_t>(by),
           &said, 1);
}

void tell_statistics(wire::Header* header) {
    const wire::StatisticsSource source = statistics_source();
    uint64_t values[wire::kAnswerValues];
    const uint32_t count = read_statistics(values);
    const bool is_offered = source != wire::StatisticsSource::kNothing;
    answer(header, is_offered ? wire::Answer::kDone : wire::Answer::kNotOffered,
           static_cast<uint32_t>(source), values, count);
}

void tell_size_classes(wire::Header* header) {
    const wire::SizeRounding by = size_rounding();
    uint64_t values[wire::kAnswerValues] = {};
    const uint64_t from = __atomic_load_n(&header->request_argument, __ATOMIC_RELAXED);
    read_size_classes(from, values, wire::kAnswerValues);
    const bool is_offered = by != wire::SizeRounding::kNothing;
    answer(header, is_offered ? wire::Answer::kDone : wire::Answer::kNotOffered, static_cast<uint32_t>(by),
           values, wire::kAnswerValues);
}

void serve(wire::Header* header, wire::RequestKind kind) {
    switch (kind) {
        case wire::RequestKind::kTrim:
            return trim(header);
        case wire::RequestKind::kStatistics:
            return tell_statistics(header);
        case wire::RequestKind::kSizeClasses:
            return tell_size_classes(header);
        default:
            return answer(header, wire::Answer::kNotOffered, 0, nullptr, 0);
    }
}

}  // namespace

__attribute__((noinline)) uint64_t after_request(uint64_t control) {
    wire::Header* const header = process.channel.header();
    const uint64_t plain = control & ~wire::kRequestedBit;
    const uint64_t here = this_place();
    if (!may_call_allocator(registers_at(here))) {
        __atomic_fetch_add(&header->request_passes, 1, __ATOMIC_RELAXED);
        return plain;
    }
    uint64_t found = control;
    if (!__atomic_compare_exchange_n(&header->heap_control, &found, plain, /*weak=*/false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED)) {  // [request]
        return found & ~wire::kRequestedBit;  // another thread was first, or the mode was switched
    }
    const uint64_t request = __atomic_load_n(&header->request, __ATOMIC_RELAXED);
    __atomic_store_n(&header->request_taken, request, __ATOMIC_RELAXED);
    const int error = errno;
    serve(header, wire::request_kind(request));
    errno = error;
    __atomic_store_n(&header->request_answered, request, __ATOMIC_RELEASE);  // [answer]
    return plain;
}

}  // namespace offheap::hook
