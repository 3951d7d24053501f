// What was allocated and released, as the events of all lanes and what rests with their threads tell it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "test/native/lane_reader.h"

namespace offheap::test {

struct Block {
    uint64_t bytes;
    uint32_t stack;
    bool operator==(const Block&) const = default;
};

struct HeapAccount {
    std::map<uint64_t, Block> live;
    std::map<uint32_t, uint64_t> allocations, allocated_bytes;  // by stack
    uint64_t releases = 0;
    bool operator==(const HeapAccount&) const = default;

    void add(uint32_t stack, uint64_t count, uint64_t bytes) {
        allocations[stack] += count;
        allocated_bytes[stack] += bytes;
    }
    void allocate(uint64_t address, const Block& block) {
        live[address] = block;
        add(block.stack, 1, block.bytes);
    }
    void release(uint64_t address) {
        live.erase(address);
        ++releases;
    }
};

// Keeps all events, so that it can put them in the order of their times whenever it is asked.
class LaneLedger {
  public:
    explicit LaneLedger(wire::Header* header) : header_(header) {}

    void read(bool giving_back) {
        while (readers_.size() < __atomic_load_n(&header_->lanes_used, __ATOMIC_RELAXED))
            readers_.emplace_back(header_, static_cast<uint32_t>(readers_.size()));
        for (LaneReader& reader : readers_) {
            for (const wire::HeapEvent& event : reader.read(giving_back)) take(event);
        }
    }

    // Of what was read, and what rests now in the windows and temporaries. `mistakes` counts allocations of
    // what is live and releases of what is not.
    HeapAccount account(uint64_t* mistakes) const {
        HeapAccount account = published_;
        std::vector<wire::HeapEvent> moments = moments_;
        for (uint32_t lane = 0; lane < readers_.size(); ++lane) add_resting(lane, &account, &moments);
        std::stable_sort(moments.begin(), moments.end(),
                         [](const wire::HeapEvent& a, const wire::HeapEvent& b) { return a.time < b.time; });
        *mistakes = 0;
        for (const wire::HeapEvent& event : moments) {
            const uint64_t address = wire::heap_address(event);
            if (wire::heap_kind(event) == wire::HeapEventKind::kAllocation) {
                *mistakes += !account.live.emplace(address, Block{event.bytes, event.stack}).second;
            } else {
                *mistakes += account.live.erase(address) != 1;
                ++account.releases;
            }
        }
        return account;
    }

    uint64_t temporaries_told() const { return temporaries_told_; }
    uint64_t position(uint32_t lane) const { return readers_[lane].position(); }

  private:
    void add_resting(uint32_t lane, HeapAccount* account, std::vector<wire::HeapEvent>* moments) const {
        for (uint32_t i = 0; i < wire::kWindowEvents; ++i) {
            const wire::HeapEvent& event = wire::window_of(header_, lane)[i];
            if (event.address == 0 || is_published(event)) continue;
            EXPECT_EQ(wire::heap_kind(event), wire::HeapEventKind::kAllocation);
            moments->push_back(event);
            account->add(event.stack, 1, event.bytes);
        }
        for (uint32_t i = 0; i < wire::kTemporariesEntries; ++i) {
            const wire::Temporaries& entry = wire::temporaries_of(header_, lane)[i];
            if (entry.count == 0) continue;
            account->add(entry.stack, entry.count, entry.bytes);
            account->releases += entry.count;
        }
    }

    // An entry is cleared after it was published.
    bool is_published(const wire::HeapEvent& entry) const {
        return std::any_of(moments_.begin(), moments_.end(), [&entry](const wire::HeapEvent& event) {
            return event.address == entry.address && event.time == entry.time;
        });
    }

    void take(const wire::HeapEvent& event) {
        switch (wire::heap_kind(event)) {
            case wire::HeapEventKind::kAllocation:
                published_.add(event.stack, 1, event.bytes);
                moments_.push_back(event);
                return;
            case wire::HeapEventKind::kRelease:
            case wire::HeapEventKind::kReallocation:
                moments_.push_back(event);
                return;
            case wire::HeapEventKind::kUndone: {
                const auto told =
                    std::find_if(moments_.rbegin(), moments_.rend(), [&event](const wire::HeapEvent& moment) {
                        return wire::heap_kind(moment) == wire::HeapEventKind::kReallocation &&
                               wire::heap_address(moment) == wire::heap_address(event);
                    });
                ASSERT_NE(told, moments_.rend());
                moments_.erase(std::next(told).base());
                return;
            }
            case wire::HeapEventKind::kTemporaries:
                published_.add(event.stack, event.sampled_every, event.bytes);
                published_.releases += event.sampled_every;
                ++temporaries_told_;
                return;
            case wire::HeapEventKind::kThread:
                return;
            default:
                FAIL() << "kind " << static_cast<int>(wire::heap_kind(event));
        }
    }

    wire::Header* header_;
    std::vector<LaneReader> readers_;
    HeapAccount published_;
    std::vector<wire::HeapEvent> moments_;
    uint64_t temporaries_told_ = 0;
};

}  // namespace offheap::test
