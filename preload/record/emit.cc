#include "preload/record/emit.h"

#include "native/wire/ring.h"
#include "preload/runtime/clock.h"
#include "preload/runtime/raw_syscall.h"

namespace offheap::record {

using namespace offheap::runtime;

namespace {

constexpr uint64_t kCollectorAliveNs = 2'000'000'000;
constexpr int kWaitSteps = 200;
constexpr int64_t kWaitStepNs = 250'000;  // 200 steps: 50 ms at most

bool collector_is_alive(const wire::Header* header) {
    const uint64_t beat = __atomic_load_n(&header->collector_beat_ns, __ATOMIC_RELAXED);
    return beat != 0 && clock_ns(kClockMonotonic) - beat < kCollectorAliveNs;
}

wire::Slot reserve_slot(Channel& channel) {
    wire::Slot slot = wire::reserve(channel.header());
    for (int step = 0; slot.outcome != wire::Reserve::kReserved; ++step) {
        if (slot.outcome == wire::Reserve::kNeedsSpace) {
            if (!channel.reserve_ring(slot.position)) break;
        } else {
            if (step >= kWaitSteps || !collector_is_alive(channel.header())) break;
            const int64_t pause[2] = {0, kWaitStepNs};
            raw_syscall(kSysNanosleep, as_argument(pause));
        }
        slot = wire::reserve(channel.header());
    }
    return slot;
}

}  // namespace

uint64_t emit(Channel& channel, wire::Event event) {
    const wire::Slot slot = reserve_slot(channel);
    if (slot.outcome != wire::Reserve::kReserved) {
        __atomic_fetch_add(&channel.header()->events_lost, 1, __ATOMIC_RELAXED);
        return kLost;
    }
    // From here to the commit nothing may fault, block or call out: a position without a commit stops the
    // consumer.
    wire::Event* target = wire::event_at(channel.header(), slot.position);
    event.time = channel.now();
    event.sequence = target->sequence;
    *target = event;
    wire::commit(target, slot.position);
    return slot.position;
}

InternedStack intern_stack(Channel& channel, const uint64_t* frames, uint32_t count, uint32_t generation) {
    const auto make_space = [&channel](uint64_t node) { return channel.reserve_node(node); };
    wire::StackTree& tree = channel.stacks();
    uint32_t node = tree.intern(0, wire::kKeyGeneration << wire::kKeyKindShift | generation, make_space);
    for (uint32_t i = count; node != 0 && i-- > 0;) {
        const uint32_t child = tree.intern(node, frames[i], make_space);
        if (child == 0) {
            __atomic_fetch_add(&channel.header()->stacks_cut_by_space, 1, __ATOMIC_RELAXED);
            channel.degrade(wire::Degradation::kStackSpaceExhausted);
            return {node, true};
        }
        node = child;
    }
    return {node, node == 0};
}

}  // namespace offheap::record
