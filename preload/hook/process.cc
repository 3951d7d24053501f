#include "preload/hook/process.h"

#include <sys/mman.h>

#include "preload/hook/file_mappings.h"
#include "preload/hook/modules.h"
#include "preload/hook/sites.h"
#include "preload/hook/thread_state.h"
#include "preload/record/emit.h"
#include "preload/record/heap_lane.h"
#include "preload/record/seeds.h"
#include "preload/runtime/raw_syscall.h"

namespace offheap::hook {

using namespace offheap::runtime;

Process process;

namespace {

struct OwnRange {
    uint64_t address, bytes;
};

// What the shim mapped before recording began or, in a child, what it inherited.
constexpr uint32_t kMaxOwnRanges = 1024;
OwnRange own_ranges[kMaxOwnRanges];
uint32_t own_range_count;

void emit_own_mapping(uint64_t address, uint64_t bytes) {
    wire::Event event = {};
    event.operation = static_cast<uint8_t>(wire::Operation::kMmap);
    event.phase = static_cast<uint8_t>(wire::Phase::kComplete);
    event.arg1 = bytes;
    event.arg2 = PROT_READ | PROT_WRITE;
    event.arg3 = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;  // lies over the seed that /proc/self/maps gave
    event.arg0 = address;
    event.arg4 = ~0ULL;
    event.result = address;
    event.flags = wire::kFlagByProfiler;
    event.generation = process.generation;
    event.thread_id = process.page->process_id;
    record::emit(process.channel, event);
}

void seed_line(void* context, const record::MapsLine& line) {
    const auto thread_id = *static_cast<uint32_t*>(context);
    record::emit_seed(process.channel, line, thread_id);
}

// What is recorded of the heap from now on: nothing before this.
void start_heap(wire::Header* header) {
    if (header->lanes_capacity == 0) return;
    const Configuration& configuration = process.configuration;
    const wire::HeapControl control{static_cast<wire::HeapMode>(configuration.heap), 0,
                                    configuration.sample_bytes};
    __atomic_store_n(&header->heap_control, wire::pack(control), __ATOMIC_RELEASE);
}

// The lane of the thread that has forked is its parent's, and so are the blocks that were sampled, and a
// place that it has taken in the ring.
void leave_parents_channel() {
    if (current_state > kEndingThread) {
        current_state->unfinished = 0;
        current_state->heap = {};
        current_state->heap_control = 0;  // whatever the child's is: it takes a lane first
        current_state->heap_stack_pointer = 0;
        forget_stacks(current_state);  // its nodes are of the parent's tree
    }
    record::forget_sampled();
}

void start_in_child() {
    process.channel = record::Channel();
    leave_parents_channel();
    restore_modules_after_fork();
    restore_file_mappings_after_fork();
    process.parent.forked = true;
    start_recording(process.parent.channel_id == 0 ? 1u << unsigned(wire::Degradation::kForkUnanchored) : 0);
}

}  // namespace

bool start_recording(uint32_t degradations) {
    ProcessPage* page = process.page;
    page->process_id = static_cast<uint32_t>(raw_syscall(kSysGetpid));
    if (!process.channel.create(process.configuration, process.parent)) {
        __atomic_store_n(&page->state, kPageOff, __ATOMIC_RELEASE);
        return false;
    }
    wire::Header* header = process.channel.header();
    __atomic_fetch_or(&header->degraded, degradations, __ATOMIC_RELAXED);
    header->generation = process.generation;
    start_heap(header);
    publish_sites(process.channel);
    uint32_t thread_id = page->process_id;
    if (!record::visit_maps(seed_line, &thread_id))
        process.channel.degrade(wire::Degradation::kSeedIncomplete);
    for (uint32_t i = 0; i < own_range_count; ++i)
        emit_own_mapping(own_ranges[i].address, own_ranges[i].bytes);
    process.program_break = static_cast<uint64_t>(raw_syscall(kSysBrk, 0));
    process.parent = {};
    __atomic_store_n(&header->state, static_cast<uint32_t>(wire::ProcessState::kRunning), __ATOMIC_RELEASE);
    __atomic_store_n(&page->state, kPageRecording, __ATOMIC_RELEASE);
    __atomic_store_n(&page->heap_control, &header->heap_control, __ATOMIC_RELEASE);
    return true;
}

bool is_recording() {
    ProcessPage* page = process.page;
    uint32_t state = __atomic_load_n(&page->state, __ATOMIC_ACQUIRE);
    if (__builtin_expect(state == kPageRecording, 1)) return true;
    if (state != kPageFresh) return false;
    // Calls that arrive while the channel is being made (a signal handler's) pass through unseen: the seeds,
    // read behind them, hold their outcome.
    if (!__atomic_compare_exchange_n(&page->state, &state, kPageStarting, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE)) {
        return false;
    }
    start_in_child();
    return __atomic_load_n(&page->state, __ATOMIC_ACQUIRE) == kPageRecording;
}

void note_own_protection(uint64_t address, uint64_t bytes, int protection) {
    if (__atomic_load_n(&process.page->state, __ATOMIC_RELAXED) != kPageRecording) return;
    wire::Event event = {};
    event.operation = static_cast<uint8_t>(wire::Operation::kMprotect);
    event.phase = static_cast<uint8_t>(wire::Phase::kComplete);
    event.arg0 = address;
    event.arg1 = bytes;
    event.arg2 = static_cast<uint64_t>(protection);
    event.flags = wire::kFlagByProfiler;
    event.generation = process.generation;
    event.thread_id = process.page->process_id;
    record::emit(process.channel, event);
}

void note_own_mapping(uint64_t address, uint64_t bytes) {
    const uint32_t index = __atomic_fetch_add(&own_range_count, 1, __ATOMIC_RELAXED);
    if (index < kMaxOwnRanges) {
        own_ranges[index] = {address, bytes};
    } else {
        __atomic_store_n(&own_range_count, kMaxOwnRanges, __ATOMIC_RELAXED);
    }
    if (__atomic_load_n(&process.page->state, __ATOMIC_RELAXED) == kPageRecording)
        emit_own_mapping(address, bytes);
}

}  // namespace offheap::hook
