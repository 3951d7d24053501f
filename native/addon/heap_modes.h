// Which allocations are followed until they are freed, as the recording is switched between modes.
#pragma once

#include <stdint.h>

#include <deque>
#include <utility>

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
        return latest_.from <= time ? latest_.until_of(time) : until_of_earlier(time);
    }
    bool open() const { return latest_.until == kForever; }
    void begin(uint64_t time) {
        if (open()) return;
        earlier_.push_back(std::exchange(latest_, {time, kForever}));
        // Allocations older than so many switches count as not followed.
        if (earlier_.size() == kMostPeriods) earlier_.pop_front();
    }
    void end(uint64_t time) {
        if (open()) latest_.until = time;
    }

  private:
    static constexpr size_t kMostPeriods = 64;
    struct Period {
        uint64_t from, until;
        uint64_t until_of(uint64_t time) const { return until >= time ? until : 0; }
    };

    uint64_t until_of_earlier(uint64_t time) const {
        for (auto period = earlier_.rbegin(); period != earlier_.rend(); ++period) {
            if (period->from <= time) return period->until_of(time);
        }
        return 0;
    }

    Period latest_ = {0, kForever};
    std::deque<Period> earlier_;
};

}  // namespace offheap::addon
