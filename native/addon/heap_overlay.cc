#include "native/addon/heap_overlay.h"

#include <algorithm>

namespace offheap::addon {
namespace {

// Where no release is owed to it: the ledger has it, or what came to its address later. It was published, or
// freed by its thread, in the meantime.
bool is_past(const HeapLedger& ledger, const RestingBlock& block) {
    LiveBlock live;
    return ledger.live().find(block.address, live) && live.born >= ledger.coarse(block.time);
}

HeapDelta delta_of(HeapLedger& ledger, const RestingBlock& block) {
    HeapDelta delta;
    delta.stack_row = ledger.stacks().row_of(ledger.sound_stack(block.stack));
    delta.thread_row = ledger.threads().row_of(block.thread_id);
    delta.address = block.address;
    delta.bytes = block.bytes;
    delta.born = ledger.coarse(block.time);
    delta.era = ledger.era_at(block.time);
    delta.counts.allocations = 1;
    delta.counts.allocated_bytes = static_cast<double>(block.bytes);
    return delta;
}

void count_live(HeapDelta& delta) {
    delta.counts.live_bytes = static_cast<double>(delta.bytes);
    delta.counts.live_allocations = 1;
}

void count_freed(HeapDelta& delta) {
    delta.counts.live_bytes = delta.counts.live_allocations = 0;
    delta.counts.frees = 1;
}

// A block of the ledger in whose place another one rests.
HeapDelta replaced(const HeapLedger& ledger, const LiveBlock& live) {
    const HeapSite& site = ledger.sites()[live.site];
    const HeapWeight weight = weigh(live.bytes, site.sampled_every);
    HeapDelta delta;
    delta.stack_row = site.stack_row;
    delta.thread_row = site.thread_row;
    delta.counts.live_bytes = -weight.bytes;
    delta.counts.live_allocations = -weight.allocations;
    delta.counts.frees = weight.allocations;
    delta.variance = {-weight.variance.bytes, -weight.variance.allocations};
    delta.bytes = live.bytes;
    delta.born = live.born;
    delta.era = site.era;
    return delta;
}

void add_blocks(HeapLedger& ledger, const HeapWindows& windows, std::vector<HeapDelta>& deltas) {
    uint64_t address = 0, free_from = 0;
    size_t live_delta = SIZE_MAX;  // of the present address
    for (const RestingBlock& block : windows.blocks()) {
        if (!ledger.is_sound(block.address, block.bytes)) continue;
        if (block.address != address) {
            address = block.address;
            free_from = 0;
            live_delta = SIZE_MAX;
        }
        HeapDelta delta = delta_of(ledger, block);
        const uint64_t until = ledger.exact_periods().until(block.time);
        if (const OwedRelease* owed = ledger.owed_to(block, free_from)) {
            free_from = owed->time + 1;
            count_freed(delta);
        } else if (until != FollowedPeriods::kForever) {
            delta.before_bytes = static_cast<double>(block.bytes);
            delta.before_allocations = 1;
        } else {
            LiveBlock live;
            if (is_past(ledger, block)) continue;
            if (live_delta != SIZE_MAX) {
                count_freed(deltas[live_delta]);
            } else if (ledger.live().find(block.address, live)) {
                deltas.push_back(replaced(ledger, live));
            }
            count_live(delta);
            live_delta = deltas.size();
        }
        deltas.push_back(delta);
    }
}

void add_temporaries(HeapLedger& ledger, const HeapWindows& windows, std::vector<HeapDelta>& deltas) {
    for (const RestingTemporaries& resting : windows.temporaries()) {
        if (!ledger.is_sound(8, resting.bytes)) continue;
        HeapDelta delta;
        delta.stack_row = ledger.stacks().row_of(ledger.sound_stack(resting.stack));
        delta.thread_row = ledger.threads().row_of(resting.thread_id);
        delta.counts.allocations = delta.counts.frees = delta.counts.temporary = resting.count;
        delta.counts.allocated_bytes = static_cast<double>(resting.bytes);
        deltas.push_back(delta);
    }
}

}  // namespace

std::vector<HeapDelta> overlay(HeapLedger& ledger, const HeapWindows& windows) {
    std::vector<HeapDelta> deltas;
    add_blocks(ledger, windows, deltas);
    add_temporaries(ledger, windows, deltas);
    return deltas;
}

void settle_windows(HeapLedger& ledger, const HeapWindows& windows) {
    // No lane says more: any will do.
    const auto apply_as = [&](uint32_t thread_id, const wire::HeapEvent& event) {
        ledger.apply(0, {wire::heap_word(wire::HeapEventKind::kThread, 0), event.time, 0, 0, thread_id});
        ledger.apply(0, event);
    };
    std::vector<RestingBlock> blocks;
    for (const RestingBlock& block : windows.blocks()) {
        const bool followed = ledger.exact_periods().until(block.time) == FollowedPeriods::kForever;
        if (!followed || ledger.owed_to(block, 0) != nullptr || !is_past(ledger, block)) {
            blocks.push_back(block);
        }
    }
    for (const RestingBlock& block : blocks) {
        const uint64_t word = wire::heap_word(wire::HeapEventKind::kAllocation, block.address);
        apply_as(block.thread_id, {word, block.time, block.bytes, block.stack, 0});
    }
    for (const RestingTemporaries& resting : windows.temporaries()) {
        const uint64_t word = wire::heap_word(wire::HeapEventKind::kTemporaries, 0);
        apply_as(resting.thread_id, {word, windows.time(), resting.bytes, resting.stack, resting.count});
    }
}

}  // namespace offheap::addon
