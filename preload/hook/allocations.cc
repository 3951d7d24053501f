#include "preload/hook/allocations.h"

#include <errno.h>

#include "preload/hook/allocation_record.h"

#define OFFHEAP_EXPORT(result, name, parameters) \
    extern "C" __attribute__((visibility("default"), alias("offheap_" #name))) result name parameters noexcept

using offheap::hook::allocated;
using offheap::hook::allocator;
using offheap::hook::reallocated;
using offheap::hook::released;

namespace {

using offheap::hook::after_request;
using offheap::hook::allocated_exactly;
using offheap::hook::allocated_under;
using offheap::hook::current_state;
using offheap::hook::enter_lane;
using offheap::hook::finish_release;
using offheap::hook::heap_control;
using offheap::hook::heap_control_at_once;
using offheap::hook::is_followed;
using offheap::hook::is_passed_over;
using offheap::hook::is_ready;
using offheap::hook::is_requested;
using offheap::hook::kAskAtLength;
using offheap::hook::leave_lane;
using offheap::hook::mode_of;
using offheap::hook::record_followed;
using offheap::hook::stack_pointer;
using offheap::hook::ThreadState;
using offheap::record::find_entry;
using offheap::record::note_release_at_once;
using offheap::wire::HeapEvent;
using offheap::wire::HeapMode;

// Before a block is made: a request is answered outside of the allocator.
uint64_t asked_at_length(uint64_t control) {
    if (control == kAskAtLength) control = heap_control();
    return is_requested(control) ? after_request(control) : control;
}

// Apart from the hooks, which end in a jump here or to the allocator: where nothing is recorded, a hook has
// no frame to make.
__attribute__((noinline)) void* malloc_exactly(size_t bytes, uint64_t control) {
    return allocated_exactly(control, allocator.malloc(bytes), bytes);
}
__attribute__((noinline)) void* malloc_otherwise(size_t bytes, uint64_t control) {
    control = asked_at_length(control);
    return allocated_under(control, allocator.malloc(bytes), bytes);
}
// A product that is too large allocates nothing, so it is never recorded.
__attribute__((noinline)) void* calloc_exactly(size_t count, size_t bytes, uint64_t control) {
    return allocated_exactly(control, allocator.calloc(count, bytes), count * bytes);
}
__attribute__((noinline)) void* calloc_otherwise(size_t count, size_t bytes, uint64_t control) {
    control = asked_at_length(control);
    return allocated_under(control, allocator.calloc(count, bytes), count * bytes);
}
__attribute__((noinline)) void free_elsewhere(void* block, uint64_t control) {
    if (block != nullptr) record_followed(control, block);
    allocator.free(block);
}
__attribute__((noinline)) void free_published(void* block, ThreadState* state, HeapEvent* entry) {
    finish_release(state, block, entry);
    allocator.free(block);
}
__attribute__((noinline)) void free_exactly(void* block, uint64_t control) {
    ThreadState* const state = current_state;
    if (__builtin_expect(block == nullptr || !is_ready(state, control), 0))
        return free_elsewhere(block, control);
    enter_lane(state, stack_pointer());
    const auto address = reinterpret_cast<uint64_t>(block);
    HeapEvent* const entry = find_entry(state->heap, address);
    if (!note_release_at_once(state->heap, entry, address)) return free_published(block, state, entry);
    leave_lane(state);
    allocator.free(block);
}
__attribute__((noinline)) void free_otherwise(void* block, uint64_t control) {
    if (control == kAskAtLength) control = heap_control();
    if (is_followed(control, block)) record_followed(control, block);
    allocator.free(block);
}

}  // namespace

extern "C" {

void* offheap_malloc(size_t bytes) {
    const uint64_t control = heap_control_at_once();
    if (__builtin_expect(is_passed_over(control, bytes), 1)) return allocator.malloc(bytes);
    if (mode_of(control) == HeapMode::kExact) return malloc_exactly(bytes, control);
    return malloc_otherwise(bytes, control);
}

void* offheap_calloc(size_t count, size_t bytes) {
    const uint64_t control = heap_control_at_once();
    if (__builtin_expect(is_passed_over(control, count * bytes), 1)) return allocator.calloc(count, bytes);
    if (mode_of(control) == HeapMode::kExact) return calloc_exactly(count, bytes, control);
    return calloc_otherwise(count, bytes, control);
}

void offheap_free(void* block) {
    const uint64_t control = heap_control_at_once();
    if (__builtin_expect(is_passed_over(control, block), 1)) return allocator.free(block);
    if (mode_of(control) == HeapMode::kExact) return free_exactly(block, control);
    free_otherwise(block, control);
}

void* offheap_realloc(void* block, size_t bytes) {
    if (block == nullptr) return allocated(allocator.realloc(nullptr, bytes), bytes);
    return reallocated(block, bytes, [=] { return allocator.realloc(block, bytes); });
}

void* offheap_reallocarray(void* block, size_t count, size_t bytes) {
    size_t total = 0;
    const bool is_too_large = __builtin_mul_overflow(count, bytes, &total);
    if (is_too_large) return allocator.reallocarray(block, count, bytes);
    if (block == nullptr) return allocated(allocator.reallocarray(nullptr, count, bytes), total);
    return reallocated(block, total, [=] { return allocator.reallocarray(block, count, bytes); });
}

int offheap_posix_memalign(void** block, size_t alignment, size_t bytes) {
    const int error = allocator.posix_memalign(block, alignment, bytes);
    if (error == 0) allocated(*block, bytes);
    return error;
}

void* offheap_aligned_alloc(size_t alignment, size_t bytes) {
    return allocated(allocator.aligned_alloc(alignment, bytes), bytes);
}

void* offheap_memalign(size_t alignment, size_t bytes) {
    return allocated(allocator.memalign(alignment, bytes), bytes);
}

void* offheap_valloc(size_t bytes) { return allocated(allocator.valloc(bytes), bytes); }

void* offheap_pvalloc(size_t bytes) { return allocated(allocator.pvalloc(bytes), bytes); }

void offheap_cfree(void* block) {
    released(block);
    allocator.cfree(block);
}

void offheap_free_sized(void* block, size_t bytes) {
    released(block);
    allocator.free_sized(block, bytes);
}

void offheap_free_aligned_sized(void* block, size_t alignment, size_t bytes) {
    released(block);
    allocator.free_aligned_sized(block, alignment, bytes);
}

}  // extern "C"

#define OFFHEAP_EXPORT_FUNCTION(result, name, parameters, arguments) OFFHEAP_EXPORT(result, name, parameters);
OFFHEAP_ALLOCATOR_FUNCTIONS(OFFHEAP_EXPORT_FUNCTION)
#undef OFFHEAP_EXPORT_FUNCTION
