#include "preload/record/emit.h"

#include "native/wire/ring.h"
#include "preload/record/backlog.h"
#include "preload/runtime/raw_syscall.h"

namespace offheap::record {

using namespace offheap::runtime;

namespace {

constexpr int kWaitSteps = 200;
constexpr int64_t kWaitStepNs = 250'000;  // 200 steps: 50 ms at most

void pause_briefly() {
    const int64_t pause[2] = {0, kWaitStepNs};
    raw_syscall(kSysNanosleep, as_argument(pause));
}

// The target clears up itself; it waits only while somebody else is at it. False when there is no room to be
// made.
bool make_room(Channel& channel) {
    OwnedRange own_mapping;
    const Compaction outcome = compact(channel, &own_mapping);
    if (own_mapping.bytes != 0 && own_mapping_listener != nullptr) {
        own_mapping_listener(own_mapping.address, own_mapping.bytes);
    }
    if (outcome == Compaction::kMadeRoom) return true;
    if (outcome == Compaction::kNoRoom) return false;
    pause_briefly();
    return true;
}

wire::Slot reserve_slot(Channel& channel) {
    wire::Slot slot = wire::reserve(channel.header());
    for (int step = 0; slot.outcome != wire::Reserve::kReserved; ++step) {
        if (slot.outcome == wire::Reserve::kNeedsSpace) {
            if (!channel.reserve_ring(slot.position)) break;
        } else {
            if (step >= kWaitSteps || !make_room(channel)) break;
        }
        slot = wire::reserve(channel.header());
    }
    return slot;
}

InternedStack cut_stack(Channel& channel, uint32_t known) {
    __atomic_fetch_add(&channel.header()->stacks_cut_by_space, 1, __ATOMIC_RELAXED);
    channel.degrade(wire::Degradation::kStackSpaceExhausted);
    return {known, true};
}

}  // namespace

void (*own_mapping_listener)(uint64_t address, uint64_t bytes);

CodeRange own_code;

uint64_t emit(Channel& channel, const wire::Event& event, uint64_t* unfinished) {
    uint64_t nobody_asks;
    if (unfinished == nullptr) unfinished = &nobody_asks;
    const wire::Slot slot = reserve_slot(channel);
    if (slot.outcome != wire::Reserve::kReserved) {
        __atomic_fetch_add(&channel.header()->events_lost, 1, __ATOMIC_RELAXED);
        return kLost;
    }
    // At once: a signal handler that jumps out before leaves a place that nobody knows.
    __atomic_store_n(unfinished, slot.position + 1, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    // From here to the commit nothing may fault, block or call out: a position without a commit stops the
    // consumer.
    wire::Event* target = wire::event_at(channel.header(), slot.position);
    target->time = channel.now();
    const auto* from = reinterpret_cast<const uint64_t*>(&event);
    auto* to = reinterpret_cast<uint64_t*>(target);
    for (uint32_t word = 2; word < sizeof(wire::Event) / 8; ++word) to[word] = from[word];
    wire::commit(target, slot.position);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(unfinished, 0, __ATOMIC_RELAXED);
    return slot.position;
}

InternedStack intern_stack(Channel& channel, StackNodes* nodes, const StackFrames& frames,
                           uint32_t generation) {
    const uint32_t count = frames.count;
    const uint32_t known = nodes == nullptr ? 0 : nodes->known;
    RecentChildren* const recent = nodes == nullptr ? nullptr : nodes->recent;
    uint32_t node = known > 0 ? (*nodes)[known - 1]
                              : channel.intern(0, wire::kKeyGeneration << wire::kKeyKindShift | generation);
    if (node == 0) return cut_stack(channel, node);
    for (uint32_t depth = known; depth < count; ++depth) {
        const uint64_t frame = frames[depth];
        const uint32_t child = own_code.holds(frame) ? node
                               : recent != nullptr   ? channel.intern(node, frame, *recent)
                                                     : channel.intern(node, frame);
        if (child == 0) return cut_stack(channel, node);
        node = child;
        if (nodes != nullptr) {
            (*nodes)[depth] = node;
            nodes->known = depth + 1;
        }
    }
    return {node, false};
}

}  // namespace offheap::record
