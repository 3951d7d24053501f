// What a process has allocated and not freed, from its heap events.
//
// Of each address, releases come in the order of time, and none before an older event but for allocations
// told late (heap_reader.h). So a release belongs to the allocation that is live at its address, and where
// there is none it is owed: to an allocation that comes late, or to none that was recorded. An allocation
// that comes late belongs to the earliest release owed since it was made. Where it finds another one live at
// its address, the older one's release was lost: addresses are not given twice.
//
// Identity, of each stack, thread and all: allocations - frees - before = live.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "native/addon/heap_live_blocks.h"
#include "native/addon/heap_modes.h"
#include "native/addon/heap_owed_releases.h"
#include "native/addon/heap_reader.h"
#include "native/addon/heap_sites.h"

namespace offheap::addon {

// Is told of what a ledger takes in.
class HeapWatch {
  public:
    virtual ~HeapWatch() = default;
    virtual void allocation(uint64_t address, uint64_t time) = 0;
    virtual void temporaries(uint32_t lane, uint32_t stack, uint64_t position) = 0;
};

// An allocation that was not published yet, out of a lane's window.
struct RestingBlock {
    uint64_t address = 0;
    uint64_t time = 0;
    uint64_t bytes = 0;
    uint32_t stack = 0;
    uint32_t thread_id = 0;
};

struct HeapMark {
    uint32_t number = 0;
    uint64_t time = 0;
    std::vector<double> frees;  // of each stack's row
};

class HeapLedger : public HeapEventSink {
  public:
    struct Settings {
        uint64_t start_clock = 0;   // of the channel
        uint32_t coarse_shift = 0;  // ticks of a coarse time
        uint64_t most_stacks = 0;   // numbers of stack nodes are below
    };
    explicit HeapLedger(const Settings& settings);

    // Whose events a lane has told before those to come, as far as nothing says otherwise.
    void set_thread(uint32_t lane, uint32_t thread_id);
    void expect(const wire::HeapEvent* events, size_t count) override;
    void apply(uint32_t lane, uint64_t position, const wire::HeapEvent* events, size_t count,
               size_t ahead) override;
    void apply(uint32_t lane, const wire::HeapEvent& event) { apply(lane, 0, &event, 1, 1); }

    // In the order of time. Takes effect when all that is older was applied.
    void expect_switch(HeapSwitch change);
    // All events up to `until` were applied, but for those that are told late.
    void settle(uint64_t until);

    // What is owed from before `time` and not to `resting`, which was read at that time before all that was
    // published was applied, is owed to no recorded allocation. `resting` is in the order of address and
    // time.
    void drop_unknown(uint64_t time, const std::vector<RestingBlock>& resting);

    // The release owed to a block since `from`, which is behind those of older blocks of its address.
    OwedRelease* owed_to(const RestingBlock& block, uint64_t from);

    void add_mark(uint64_t time, std::vector<double> frees);
    const HeapMark* mark(uint32_t number) const;
    uint32_t era_at(uint64_t time) const {
        return marks_.empty() || time > marks_.back().time ? last_mark_ : earlier_era_at(time);
    }
    uint32_t last_mark() const { return last_mark_; }

    void set_watch(HeapWatch* watch) { watch_ = watch; }

    uint32_t coarse(uint64_t time) const {
        if (time <= settings_.start_clock) return 0;
        const uint64_t units = (time - settings_.start_clock) >> settings_.coarse_shift;
        return static_cast<uint32_t>(std::min<uint64_t>(units, UINT32_MAX));
    }
    bool is_sound(uint64_t address, uint64_t bytes) const {
        return address != 0 && address % 8 == 0 && address < LiveBlocks::kAddressLimit && bytes < kBytesLimit;
    }
    // 0 where no node can have that number.
    uint32_t sound_stack(uint32_t stack) const { return stack < settings_.most_stacks ? stack : 0; }
    const FollowedPeriods& exact_periods() const { return exact_; }

    HeapRows& stacks() { return stacks_; }
    HeapRows& threads() { return threads_; }
    const HeapRows& stacks() const { return stacks_; }
    const HeapRows& threads() const { return threads_; }
    HeapVariance variance(uint32_t stack_row) const;
    const HeapSites& sites() const { return sites_; }
    LiveBlocks& live() { return live_; }
    const LiveBlocks& live() const { return live_; }
    size_t owed() const { return owed_.size(); }
    double peak_bytes() const { return peak_bytes_; }
    void raise_peak(double live_bytes) { peak_bytes_ = std::max(peak_bytes_, live_bytes); }
    double before_bytes() const { return before_bytes_; }
    double before_allocations() const { return before_allocations_; }
    uint64_t unknown_frees() const { return unknown_frees_; }
    uint64_t damaged() const { return damaged_; }

  private:
    // Sums of larger sizes would no longer be exact; no address space has room for them.
    static constexpr uint64_t kBytesLimit = 1ULL << 47;

    // What the last reallocation of a lane has released, for the case that it fails.
    struct Reallocation {
        enum class Found : uint8_t { kNothing, kBlock, kOwed, kUnknown };
        uint64_t address = 0;
        uint64_t time = 0;
        LiveBlock block;  // is a user of its site
        Found found = Found::kNothing;
    };
    struct LaneState {
        uint32_t thread_row = 0;
        bool has_thread = false;
        Reallocation last;
    };

    LaneState& state(uint32_t lane) {
        if (lane >= lanes_.size()) lanes_.resize(lane + 1);
        return lanes_[lane];
    }
    uint32_t earlier_era_at(uint64_t time) const;
    void allocate(const LaneState& lane, const wire::HeapEvent& event);
    void release(uint32_t lane, const wire::HeapEvent& event);
    void reallocate(uint32_t lane, const wire::HeapEvent& event);
    Reallocation::Found take(uint32_t lane, const wire::HeapEvent& event, LiveBlock& block);
    uint32_t lane_of_reallocation(uint32_t lane, uint64_t address) const;
    void undo(uint32_t told_by, const wire::HeapEvent& event);
    void note_temporaries(uint32_t lane, uint64_t position, const wire::HeapEvent& event);
    void forget(Reallocation& reallocation);
    uint32_t checked_stack(uint32_t stack);

    void add_live(const HeapSite& site, const HeapWeight& weight);
    void subtract_live(const HeapSite& site, const HeapWeight& weight);
    void count_free(const HeapSite& site, const HeapWeight& weight);
    void add_before(const HeapWeight& weight);
    void settle_owed(const OwedRelease& owed, const LiveBlock& block);
    void keep(uint64_t address, const LiveBlock& block);
    void change_mode(const HeapSwitch& change);
    void stop_following(bool sampled);

    Settings settings_;
    LiveBlocks live_;
    OwedReleases owed_;
    HeapRows stacks_, threads_;
    HeapSites sites_{stacks_};
    std::vector<HeapVariance> variances_;  // of stacks, as far as any was sampled
    std::vector<LaneState> lanes_;
    FollowedPeriods exact_, sampled_;
    std::deque<HeapSwitch> switches_;
    uint64_t next_switch_ = UINT64_MAX;
    std::deque<HeapMark> marks_;
    uint32_t last_mark_ = 0;
    HeapWatch* watch_ = nullptr;
    double live_bytes_ = 0, peak_bytes_ = 0;
    double before_bytes_ = 0, before_allocations_ = 0;
    uint64_t unknown_frees_ = 0;
    uint64_t damaged_ = 0;
};

}  // namespace offheap::addon
