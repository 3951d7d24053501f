// Which allocations are followed until they are freed, as the recording is switched between modes.
#pragma once

#include <stdint.h>

#include <deque>

#include "native/wire/heap.h"

namespace offheap::addon {

struct HeapSwitch {
    uint64_t at = 0;     // by the channel's clock, not before any thread recorded the new way
    uint64_t begin = 0;  // not after any thread did
    wire::HeapMode to = wire::HeapMode::kOff;
    bool through_off = false;  // what was recorded just before it is not known
};

// Times during which the releases of what is allocated in them are recorded. What is alive at the end of a
// period is followed no further.
class FollowedPeriods {
  public:
    static constexpr uint64_t kForever = UINT64_MAX;

    // Until when an allocation of this time is followed; 0: not at all.
    uint64_t until(uint64_t time) const {
        for (auto period = periods_.rbegin(); period != periods_.rend(); ++period) {
            if (period->from <= time) return period->until >= time ? period->until : 0;
        }
        return 0;
    }
    bool open() const { return periods_.back().until == kForever; }
    void begin(uint64_t time) {
        if (open()) return;
        periods_.push_back({time, kForever});
        // Allocations older than so many switches count as not followed.
        if (periods_.size() > kMostPeriods) periods_.pop_front();
    }
    void end(uint64_t time) {
        if (open()) periods_.back().until = time;
    }

  private:
    static constexpr size_t kMostPeriods = 64;
    struct Period {
        uint64_t from, until;
    };
    std::deque<Period> periods_ = {{0, kForever}};
};

}  // namespace offheap::addon
