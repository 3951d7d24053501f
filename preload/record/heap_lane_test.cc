// What two lanes, their windows and their temporaries hold together is what was done, in whatever order.
#include "preload/record/heap_lane.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "test/native/lane_reader.h"
#include "test/native/private_folder.h"

namespace offheap::record {
namespace {

using wire::HeapEvent;
using wire::HeapEventKind;

constexpr uint32_t kLanes = 2;

void record_exactly(Channel& channel) {
    channel.header()->heap_control = wire::pack({wire::HeapMode::kExact, 1, 1 << 19});
}

struct Block {
    uint64_t bytes;
    uint32_t stack;
    bool operator==(const Block&) const = default;
};

struct Account {
    std::map<uint64_t, Block> live;
    std::map<uint32_t, uint64_t> allocations, allocated_bytes;  // by stack
    uint64_t releases = 0;
    bool operator==(const Account&) const = default;

    void add(uint32_t stack, uint64_t count, uint64_t bytes) {
        allocations[stack] += count;
        allocated_bytes[stack] += bytes;
    }
};

// As a ledger reads a channel, but with all of it at hand.
class Ledger {
  public:
    void read(wire::Header* header, std::vector<test::LaneReader>& readers, bool giving_back) {
        for (test::LaneReader& reader : readers) {
            for (const HeapEvent& event : reader.read(giving_back)) take(event);
        }
        (void)header;
    }

    Account account(wire::Header* header) const {
        Account account = published_;
        std::vector<HeapEvent> moments = moments_;
        for (uint32_t lane = 0; lane < header->lanes_used; ++lane) {
            for (uint32_t i = 0; i < wire::kWindowEvents; ++i) {
                const HeapEvent& event = wire::window_of(header, lane)[i];
                if (event.address == 0) continue;
                EXPECT_EQ(wire::heap_kind(event), HeapEventKind::kAllocation);
                moments.push_back(event);
                account.add(event.stack, 1, event.bytes);
            }
            for (uint32_t i = 0; i < wire::kTemporariesEntries; ++i) {
                const wire::Temporaries& entry = wire::temporaries_of(header, lane)[i];
                if (entry.count == 0) continue;
                account.add(entry.stack, entry.count, entry.bytes);
                account.releases += entry.count;
            }
        }
        std::stable_sort(moments.begin(), moments.end(),
                         [](const HeapEvent& a, const HeapEvent& b) { return a.time < b.time; });
        for (const HeapEvent& event : moments) {
            const uint64_t address = wire::heap_address(event);
            if (wire::heap_kind(event) == HeapEventKind::kAllocation) {
                EXPECT_TRUE(account.live.emplace(address, Block{event.bytes, event.stack}).second) << address;
            } else {
                EXPECT_EQ(account.live.erase(address), 1u) << address;
                ++account.releases;
            }
        }
        return account;
    }

    uint64_t temporaries_told() const { return temporaries_told_; }

  private:
    void take(const HeapEvent& event) {
        switch (wire::heap_kind(event)) {
            case HeapEventKind::kAllocation:
                published_.add(event.stack, 1, event.bytes);
                moments_.push_back(event);
                return;
            case HeapEventKind::kRelease:
            case HeapEventKind::kReallocation:
                moments_.push_back(event);
                return;
            case HeapEventKind::kUndone: {
                const auto told =
                    std::find_if(moments_.rbegin(), moments_.rend(), [&event](const HeapEvent& moment) {
                        return wire::heap_kind(moment) == HeapEventKind::kReallocation &&
                               wire::heap_address(moment) == wire::heap_address(event);
                    });
                ASSERT_NE(told, moments_.rend());
                moments_.erase(std::next(told).base());
                return;
            }
            case HeapEventKind::kTemporaries:
                published_.add(event.stack, event.sampled_every, event.bytes);
                published_.releases += event.sampled_every;
                ++temporaries_told_;
                return;
            case HeapEventKind::kThread:
                return;
            default:
                FAIL() << "kind " << static_cast<int>(wire::heap_kind(event));
        }
    }

    Account published_;
    std::vector<HeapEvent> moments_;
    uint64_t temporaries_told_ = 0;
};

// Two threads' calls, made by one, so that there is a truth to compare with.
class Program {
  public:
    Program(Channel& channel, uint32_t seed) : channel_(channel), random_(seed) {
        for (uint32_t thread = 0; thread < kLanes; ++thread)
            EXPECT_TRUE(open_lane(channel, lanes_[thread], thread + 1));
        // Some seeds crowd into a few sets of the window, some have many stacks.
        places_ = seed % 3 == 0 ? 40 : 4000;
        stacks_ = seed % 2 == 0 ? 12 : 2000;
    }

    void step() {
        HeapLane& lane = lanes_[random_() % kLanes];
        const uint64_t address = 0x7f0000001000 + random_() % places_ * 16;
        const auto found = truth.live.find(address);
        const uint32_t choice = random_() % 1000;
        if (choice == 0) {
            publish_resting(channel_, lane);
        } else if (choice == 1) {
            close_lane(channel_, lane);
            EXPECT_EQ(lane.window, nullptr);
            EXPECT_TRUE(open_lane(channel_, lane, 7));
        } else if (found == truth.live.end()) {
            allocate(lane, address);
        } else if (choice < 100) {
            const Reallocation reallocation = begin_reallocation(channel_, lane, address);
            if (choice < 50) {
                undo_reallocation(channel_, lane, address, reallocation);
            } else {
                finish_reallocation(channel_, lane, reallocation);
                forget(address);
                allocate(lane, address);
            }
        } else {
            note_release(channel_, lane, address);
            forget(address);
        }
    }

    Account truth;

  private:
    void allocate(HeapLane& lane, uint64_t address) {
        const Block block = {random_() % 4096, static_cast<uint32_t>(random_() % stacks_)};
        note_allocation(channel_, lane, address, block.bytes, block.stack);
        truth.live[address] = block;
        truth.add(block.stack, 1, block.bytes);
    }
    void forget(uint64_t address) {
        truth.live.erase(address);
        ++truth.releases;
    }

    Channel& channel_;
    std::mt19937 random_;
    HeapLane lanes_[kLanes] = {};
    uint64_t places_, stacks_;
};

TEST(HeapLane, holds_with_its_window_what_was_done) {
    for (uint32_t seed = 0; seed < 40; ++seed) {
        SCOPED_TRACE(seed);
        const test::PrivateFolder folder;
        Channel channel;
        ASSERT_TRUE(channel.create(folder.configuration(), Parent()));
        record_exactly(channel);
        Program program(channel, seed);
        Ledger ledger;
        std::vector<test::LaneReader> readers;
        for (uint32_t lane = 0; lane < kLanes; ++lane) readers.emplace_back(channel.header(), lane);
        for (uint32_t step = 0; step < 12'000; ++step) {
            program.step();
            if (step % 97 == 0) ledger.read(channel.header(), readers, seed % 4 < 2);
            if (step % 3000 != 2999) continue;
            ledger.read(channel.header(), readers, seed % 4 < 2);
            ASSERT_EQ(ledger.account(channel.header()), program.truth) << "after step " << step;
        }
        EXPECT_GT(ledger.temporaries_told(), 0u);
        EXPECT_GT(readers[0].position(), 3 * wire::kChunkEvents) << "chunks must have been changed";
        EXPECT_EQ(channel.header()->heap_events_lost, 0u);
        EXPECT_EQ(channel.header()->lanes_used, kLanes);
    }
}

}  // namespace
}  // namespace offheap::record
