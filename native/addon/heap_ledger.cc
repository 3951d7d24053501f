#include "native/addon/heap_ledger.h"

#include <algorithm>
#include <utility>

namespace offheap::addon {
namespace {

using wire::HeapEvent;
using wire::HeapEventKind;
using wire::HeapMode;

constexpr size_t kMostThreads = 1 << 18;
constexpr size_t kMostStacks = 1 << 24;
constexpr size_t kMostMarks = 16;
constexpr uint32_t kNoLane = UINT32_MAX;
// Events between the request of a table's line and its use.
constexpr size_t kPrefetchEvents = 12;

}  // namespace

HeapLedger::HeapLedger(const Settings& settings)
    : settings_(settings), stacks_(kMostStacks), threads_(kMostThreads) {}

void HeapLedger::set_thread(uint32_t lane, uint32_t thread_id) {
    LaneState& of_lane = state(lane);
    if (of_lane.has_thread) return;
    of_lane.has_thread = true;
    of_lane.thread_row = threads_.row_of(thread_id);
}

uint32_t HeapLedger::checked_stack(uint32_t stack) {
    if (sound_stack(stack) != stack) ++damaged_;
    return sound_stack(stack);
}

HeapVariance HeapLedger::variance(uint32_t stack_row) const {
    return stack_row < variances_.size() ? variances_[stack_row] : HeapVariance();
}

void HeapLedger::expect(const HeapEvent* events, size_t count) {
    for (size_t index = 0; index < std::min(count, kPrefetchEvents); ++index) {
        live_.prefetch(wire::heap_address(events[index]));
    }
}

// Flattened, but for what is rare: with calls on the way of each event it takes a fifth more instructions.
[[gnu::flatten]] void HeapLedger::apply(uint32_t lane, uint64_t position, const HeapEvent* events,
                                        size_t count, size_t ahead) {
    set_thread(lane, 0);
    for (size_t index = 0; index < count; ++index) {
        if (index + kPrefetchEvents < ahead) {
            live_.prefetch(wire::heap_address(events[index + kPrefetchEvents]));
        }
        const HeapEvent& event = events[index];
        if (event.time > next_switch_) settle(event.time - 1);
        switch (wire::heap_kind(event)) {
            case HeapEventKind::kAllocation:
                allocate(state(lane), event);
                break;
            case HeapEventKind::kRelease:
                release(lane, event);
                break;
            case HeapEventKind::kReallocation:
                reallocate(lane, event);
                break;
            case HeapEventKind::kUndone:
                undo(lane, event);
                break;
            case HeapEventKind::kTemporaries:
                note_temporaries(lane, position + index, event);
                break;
            case HeapEventKind::kThread:
                state(lane).thread_row = threads_.row_of(event.sampled_every);
                state(lane).has_thread = true;
                break;
            default:
                ++damaged_;
        }
    }
}

void HeapLedger::allocate(const LaneState& lane, const HeapEvent& event) {
    const uint64_t address = wire::heap_address(event);
    if (!is_sound(address, event.bytes) || live_.size() >= LiveBlocks::kSiteLimit) {
        ++damaged_;
        return;
    }
    if (watch_ != nullptr) watch_->allocation(address, event.time);
    const uint32_t site_number =
        sites_.use({checked_stack(event.stack), lane.thread_row, event.sampled_every, era_at(event.time)});
    const HeapSite& site = sites_[site_number];
    const HeapWeight weight = weigh(event.bytes, event.sampled_every);
    HeapCounts& stack = stacks_[site.stack_row];
    stack.allocations += weight.allocations;
    stack.allocated_bytes += weight.bytes;
    threads_[site.thread_row].allocations += weight.allocations;

    const LiveBlock block = {event.bytes, site_number, coarse(event.time)};
    const uint64_t until = (event.sampled_every == 0 ? exact_ : sampled_).until(event.time);
    OwedRelease* owed = owed_.empty() ? nullptr : owed_.earliest(address, event.time, until);
    if (owed != nullptr) {
        count_free(site, weight);
        settle_owed(*owed, block);
        owed_.erase(owed);
    } else if (until != FollowedPeriods::kForever) {
        add_before(weight);
        sites_.leave(site_number);
    } else {
        keep(address, block);
    }
}

// The block is what `owed` has released; takes over its use of its site.
void HeapLedger::settle_owed(const OwedRelease& owed, const LiveBlock& block) {
    if (owed.reallocation) {
        Reallocation& last = lanes_[owed.lane].last;
        if (last.found == Reallocation::Found::kOwed && last.address == owed.address &&
            last.time == owed.time) {
            last.found = Reallocation::Found::kBlock;
            last.block = block;
            return;
        }
    }
    sites_.leave(block.site);
}

// Puts a block, which uses its site, among the living. Where its address has another one, the older of the
// two is gone.
void HeapLedger::keep(uint64_t address, const LiveBlock& block) {
    const HeapSite& site = sites_[block.site];
    const HeapWeight weight = weigh(block.bytes, site.sampled_every);
    while (!live_.put(address, block)) {
        LiveBlock other;
        if (!live_.take(address, block.born, other)) {
            count_free(site, weight);
            sites_.leave(block.site);
            return;
        }
        const HeapSite& of_other = sites_[other.site];
        const HeapWeight other_weight = weigh(other.bytes, of_other.sampled_every);
        subtract_live(of_other, other_weight);
        count_free(of_other, other_weight);
        sites_.leave(other.site);
    }
    add_live(site, weight);
}

void HeapLedger::add_live(const HeapSite& site, const HeapWeight& weight) {
    HeapCounts& stack = stacks_[site.stack_row];
    HeapCounts& thread = threads_[site.thread_row];
    ++stack.live_blocks;
    ++thread.live_blocks;
    stack.live_bytes += weight.bytes;
    stack.live_allocations += weight.allocations;
    thread.live_bytes += weight.bytes;
    thread.live_allocations += weight.allocations;
    stack.peak_bytes = std::max(stack.peak_bytes, stack.live_bytes);
    live_bytes_ += weight.bytes;
    raise_peak(live_bytes_);
    if (site.sampled_every != 0) {
        if (variances_.size() <= site.stack_row) variances_.resize(stacks_.size());
        variances_[site.stack_row].bytes += weight.variance.bytes;
        variances_[site.stack_row].allocations += weight.variance.allocations;
    }
}

void HeapLedger::subtract_live(const HeapSite& site, const HeapWeight& weight) {
    HeapCounts& stack = stacks_[site.stack_row];
    HeapCounts& thread = threads_[site.thread_row];
    stack.live_bytes -= weight.bytes;
    stack.live_allocations -= weight.allocations;
    thread.live_bytes -= weight.bytes;
    thread.live_allocations -= weight.allocations;
    live_bytes_ -= weight.bytes;
    if (site.sampled_every != 0) {
        variances_[site.stack_row].bytes -= weight.variance.bytes;
        variances_[site.stack_row].allocations -= weight.variance.allocations;
    }
    // What fractions leave behind by rounding goes with the last block.
    if (--stack.live_blocks == 0) {
        stack.live_bytes = stack.live_allocations = 0;
        if (site.stack_row < variances_.size()) variances_[site.stack_row] = {};
    }
    if (--thread.live_blocks == 0) thread.live_bytes = thread.live_allocations = 0;
}

void HeapLedger::count_free(const HeapSite& site, const HeapWeight& weight) {
    stacks_[site.stack_row].frees += weight.allocations;
    threads_[site.thread_row].frees += weight.allocations;
}

void HeapLedger::add_before(const HeapWeight& weight) {
    before_bytes_ += weight.bytes;
    before_allocations_ += weight.allocations;
}

HeapLedger::Reallocation::Found HeapLedger::take(uint32_t lane, const HeapEvent& event, LiveBlock& block) {
    const uint64_t address = wire::heap_address(event);
    if (live_.take(address, coarse(event.time), block)) {
        const HeapSite& site = sites_[block.site];
        const HeapWeight weight = weigh(block.bytes, site.sampled_every);
        subtract_live(site, weight);
        count_free(site, weight);
        return Reallocation::Found::kBlock;
    }
    const bool reallocation = wire::heap_kind(event) == HeapEventKind::kReallocation;
    if (owed_.add({0, address, event.time, lane, reallocation})) return Reallocation::Found::kOwed;
    ++unknown_frees_;
    return Reallocation::Found::kUnknown;
}

void HeapLedger::release(uint32_t lane, const HeapEvent& event) {
    if (!is_sound(wire::heap_address(event), 0)) {
        ++damaged_;
        return;
    }
    LiveBlock block;
    if (take(lane, event, block) == Reallocation::Found::kBlock) sites_.leave(block.site);
}

[[gnu::noinline]] void HeapLedger::reallocate(uint32_t lane, const HeapEvent& event) {
    const uint64_t address = wire::heap_address(event);
    if (!is_sound(address, 0)) {
        ++damaged_;
        return;
    }
    LiveBlock block;
    const Reallocation::Found found = take(lane, event, block);
    Reallocation& last = state(lane).last;
    forget(last);
    last = {address, event.time, block, found};
}

void HeapLedger::forget(Reallocation& reallocation) {
    if (reallocation.found == Reallocation::Found::kBlock) sites_.leave(reallocation.block.site);
    reallocation.found = Reallocation::Found::kNothing;
}

// `lane`, if its last reallocation was of `address`. A signal handler that keeps off its thread's lane may
// have told the reallocation and its failure by two others: then the lane with the latest.
uint32_t HeapLedger::lane_of_reallocation(uint32_t lane, uint64_t address) const {
    const auto is_of_address = [&](uint32_t number) {
        const Reallocation& last = lanes_[number].last;
        return last.found != Reallocation::Found::kNothing && last.address == address;
    };
    if (is_of_address(lane)) return lane;
    uint32_t latest = kNoLane;
    for (uint32_t each = 0; each < lanes_.size(); ++each) {
        if (is_of_address(each) && (latest == kNoLane || lanes_[each].last.time > lanes_[latest].last.time)) {
            latest = each;
        }
    }
    return latest;
}

[[gnu::noinline]] void HeapLedger::undo(uint32_t told_by, const HeapEvent& event) {
    const uint32_t lane = lane_of_reallocation(told_by, wire::heap_address(event));
    if (lane == kNoLane) {
        ++damaged_;
        return;
    }
    Reallocation& last = lanes_[lane].last;
    if (last.found == Reallocation::Found::kUnknown) {
        --unknown_frees_;
    } else if (last.found == Reallocation::Found::kOwed) {
        if (OwedRelease* owed = owed_.find(last.address, last.time, lane)) owed_.erase(owed);
    } else {
        const HeapSite site = sites_[last.block.site];
        const HeapWeight weight = weigh(last.block.bytes, site.sampled_every);
        stacks_[site.stack_row].frees -= weight.allocations;
        threads_[site.thread_row].frees -= weight.allocations;
        // It lived when it was taken; a switch since then has ended that.
        if ((site.sampled_every == 0 ? exact_ : sampled_).until(last.time) == FollowedPeriods::kForever) {
            keep(last.address, last.block);
        } else {
            add_before(weight);
            sites_.leave(last.block.site);
        }
    }
    last.found = Reallocation::Found::kNothing;
}

[[gnu::noinline]] void HeapLedger::note_temporaries(uint32_t lane, uint64_t position,
                                                    const HeapEvent& event) {
    if (event.bytes >= kBytesLimit) {
        ++damaged_;
        return;
    }
    if (watch_ != nullptr) watch_->temporaries(lane, event.stack, position);
    HeapCounts& stack = stacks_[stacks_.row_of(checked_stack(event.stack))];
    HeapCounts& thread = threads_[state(lane).thread_row];
    for (HeapCounts* counts : {&stack, &thread}) {
        counts->allocations += event.sampled_every;
        counts->frees += event.sampled_every;
        counts->temporary += event.sampled_every;
        counts->allocated_bytes += static_cast<double>(event.bytes);
    }
}

void HeapLedger::drop_unknown(uint64_t time, const std::vector<RestingBlock>& resting) {
    if (owed_.empty()) return;
    const RestingBlock* before = nullptr;
    uint64_t from = 0;
    for (const RestingBlock& block : resting) {
        if (before == nullptr || before->address != block.address) from = 0;
        before = &block;
        if (OwedRelease* owed = owed_to(block, from)) {
            owed->awaited = true;
            from = owed->time + 1;
        }
    }
    owed_.erase_if([&](OwedRelease& owed) {
        if (std::exchange(owed.awaited, false) || owed.time >= time) return false;
        ++unknown_frees_;
        if (owed.reallocation) {
            Reallocation& last = lanes_[owed.lane].last;
            if (last.found == Reallocation::Found::kOwed && last.address == owed.address &&
                last.time == owed.time) {
                last.found = Reallocation::Found::kUnknown;
            }
        }
        return true;
    });
}

OwedRelease* HeapLedger::owed_to(const RestingBlock& block, uint64_t from) {
    if (!is_sound(block.address, block.bytes)) return nullptr;
    return owed_.earliest(block.address, std::max(block.time, from), exact_.until(block.time));
}

void HeapLedger::expect_switch(HeapSwitch change) {
    if (!switches_.empty()) change.at = std::max(change.at, switches_.back().at);
    switches_.push_back(change);
    next_switch_ = switches_.front().at;
}

[[gnu::noinline]] void HeapLedger::settle(uint64_t until) {
    while (!switches_.empty() && switches_.front().at <= until) {
        change_mode(switches_.front());
        switches_.pop_front();
    }
    next_switch_ = switches_.empty() ? UINT64_MAX : switches_.front().at;
}

void HeapLedger::change_mode(const HeapSwitch& change) {
    const bool off = change.to == HeapMode::kOff || change.through_off;
    if (off || change.to == HeapMode::kSampled) {
        exact_.end(change.at);
        if (off) sampled_.end(change.at);
        stop_following(/*sampled=*/off);
    }
    if (change.to == HeapMode::kExact) exact_.begin(change.begin);
    if (change.to != HeapMode::kOff) sampled_.begin(change.begin);
}

// What was recorded exactly and, if so, what was sampled.
void HeapLedger::stop_following(bool sampled) {
    live_.erase_if([&](const LiveBlock& block) {
        const HeapSite site = sites_[block.site];
        if (site.sampled_every != 0 && !sampled) return false;
        const HeapWeight weight = weigh(block.bytes, site.sampled_every);
        subtract_live(site, weight);
        add_before(weight);
        sites_.leave(block.site);
        return true;
    });
}

uint32_t HeapLedger::earlier_era_at(uint64_t time) const {
    for (auto mark = marks_.rbegin(); mark != marks_.rend(); ++mark) {
        if (time > mark->time) return mark->number;
    }
    return marks_.front().number - 1;
}

void HeapLedger::add_mark(uint64_t time, std::vector<double> frees) {
    marks_.push_back({++last_mark_, time, std::move(frees)});
    if (marks_.size() > kMostMarks) marks_.pop_front();
}

const HeapMark* HeapLedger::mark(uint32_t number) const {
    for (const HeapMark& mark : marks_) {
        if (mark.number == number) return &mark;
    }
    return nullptr;
}

}  // namespace offheap::addon
