// What lanes, windows and temporaries hold together is what was done, in whatever order.
#include "preload/record/heap_lane.h"

#include <gtest/gtest.h>

#include <random>

#include "test/native/lane_ledger.h"
#include "test/native/private_folder.h"

namespace offheap::record {
namespace {

using test::Block;
using test::HeapAccount;
using wire::HeapEvent;
using wire::HeapEventKind;

constexpr uint32_t kLanes = 2;

class HeapLaneOfOneThread : public testing::Test {
  protected:
    void SetUp() override {
        ASSERT_TRUE(channel.create(folder.configuration(), Parent()));
        channel.header()->heap_control = wire::pack({wire::HeapMode::kExact, 1, 1 << 19});
        ASSERT_TRUE(open_lane(channel, lane, 7));
    }

    std::vector<HeapEvent> events(uint32_t number = 0) {
        return test::LaneReader(channel.header(), number).read();
    }

    test::PrivateFolder folder;
    Channel channel;
    HeapLane lane = {};
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
        const uint32_t choice = random_() % 1000;
        if (choice == 0) {
            publish_resting(channel_, lane);
        } else if (choice == 1) {
            close_lane(channel_, lane);
            EXPECT_EQ(lane.window, nullptr);
            EXPECT_TRUE(open_lane(channel_, lane, 7));
        } else if (!truth.live.contains(address)) {
            allocate(lane, address);
        } else if (choice < 100) {
            const Reallocation reallocation = begin_reallocation(channel_, lane, address);
            if (choice < 50) {
                undo_reallocation(channel_, lane, address, reallocation);
            } else {
                finish_reallocation(channel_, lane, reallocation);
                truth.release(address);
                allocate(lane, address);
            }
        } else {
            note_release(channel_, lane, address);
            truth.release(address);
        }
    }

    HeapAccount truth;

  private:
    void allocate(HeapLane& lane, uint64_t address) {
        const Block block = {random_() % 4096, static_cast<uint32_t>(random_() % stacks_)};
        note_allocation(channel_, lane, address, block.bytes, block.stack);
        truth.allocate(address, block);
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
        channel.header()->heap_control = wire::pack({wire::HeapMode::kExact, 1, 1 << 19});
        Program program(channel, seed);
        test::LaneLedger ledger(channel.header());
        const bool giving_back = seed % 4 < 2;
        for (uint32_t step = 0; step < 8'000; ++step) {
            program.step();
            if (step % 97 == 0) ledger.read(giving_back);
            if (step % 2000 != 1999) continue;
            ledger.read(giving_back);
            uint64_t mistakes = 0;
            ASSERT_TRUE(ledger.account(&mistakes) == program.truth) << "after step " << step;
            ASSERT_EQ(mistakes, 0u) << "after step " << step;
        }
        EXPECT_GT(ledger.temporaries_told(), 0u);
        EXPECT_GT(ledger.position(0), 2 * wire::kChunkEvents) << "chunks must have been changed";
        EXPECT_EQ(channel.header()->heap_events_lost, 0u);
        EXPECT_EQ(channel.header()->lanes_used, kLanes);
    }
}

TEST_F(HeapLaneOfOneThread, tells_nothing_of_a_block_that_came_and_went) {
    note_allocation(channel, lane, 0x1000, 48, 5);
    note_release(channel, lane, 0x1000);
    EXPECT_EQ(lane.lane->head, 0u);
    EXPECT_EQ(lane.lane->first_chunk, 0u) << "nothing published, so no chunk is needed";
    const wire::Temporaries& entry = temporaries_entry(lane, 5);
    EXPECT_EQ(entry.stack, 5u);
    EXPECT_EQ(entry.count, 1u);
    EXPECT_EQ(entry.bytes, 48u);
}

TEST_F(HeapLaneOfOneThread, names_its_thread_before_all_else) {
    note_release(channel, lane, 0x1000);
    close_lane(channel, lane);
    ASSERT_TRUE(open_lane(channel, lane, 8));
    EXPECT_EQ(lane.number, 0u) << "recycled";
    note_release(channel, lane, 0x2000);
    const auto told = events();
    ASSERT_EQ(told.size(), 4u);
    EXPECT_EQ(wire::heap_kind(told[0]), HeapEventKind::kThread);
    EXPECT_EQ(told[0].sampled_every, 7u);
    EXPECT_EQ(told[1].address, wire::heap_word(HeapEventKind::kRelease, 0x1000));
    EXPECT_EQ(wire::heap_kind(told[2]), HeapEventKind::kThread);
    EXPECT_EQ(told[2].sampled_every, 8u);
    EXPECT_EQ(told[3].address, wire::heap_word(HeapEventKind::kRelease, 0x2000));
    EXPECT_EQ(lane.lane->thread_id, 8u);
}

TEST_F(HeapLaneOfOneThread, publishes_temporaries_whose_count_or_bytes_are_at_their_end) {
    wire::Temporaries& entry = temporaries_entry(lane, 5);
    entry = {5, ~0u, 1000};
    note_allocation(channel, lane, 0x1000, 48, 5);
    note_release(channel, lane, 0x1000);
    EXPECT_EQ(entry.count, 1u);
    EXPECT_EQ(entry.bytes, 48u);
    entry = {5, 3, ~uint64_t{0} - 40};
    note_allocation(channel, lane, 0x1000, 48, 5);
    note_release(channel, lane, 0x1000);
    EXPECT_EQ(entry.count, 1u);
    EXPECT_EQ(entry.bytes, 48u);
    const auto told = events();
    ASSERT_EQ(told.size(), 3u);
    for (const size_t i : {1, 2}) {
        EXPECT_EQ(wire::heap_kind(told[i]), HeapEventKind::kTemporaries);
        EXPECT_EQ(told[i].stack, 5u);
    }
    EXPECT_EQ(told[1].sampled_every, ~0u);
    EXPECT_EQ(told[1].bytes, 1000u);
    EXPECT_EQ(told[2].sampled_every, 3u);
    EXPECT_EQ(told[2].bytes, ~uint64_t{0} - 40);
}

TEST_F(HeapLaneOfOneThread, tells_a_block_that_another_thread_freed_and_got_again) {
    HeapLane other = {};
    ASSERT_TRUE(open_lane(channel, other, 8));
    note_allocation(channel, lane, 0x1000, 1, 1);
    note_release(channel, other, 0x1000);
    note_allocation(channel, other, 0x1000, 2, 2);
    note_release(channel, lane, 0x1000);  // the other thread's block, not that in our window
    test::LaneLedger ledger(channel.header());
    ledger.read(false);
    uint64_t mistakes = 0;
    const HeapAccount account = ledger.account(&mistakes);
    EXPECT_EQ(mistakes, 0u);
    EXPECT_TRUE(account.live.empty());
    EXPECT_EQ(account.releases, 2u);
    EXPECT_EQ(account.allocations.at(1), 1u);
    EXPECT_EQ(account.allocations.at(2), 1u);
}

TEST_F(HeapLaneOfOneThread, stamps_an_allocation_after_the_release_before_it) {
    const uint64_t late = channel.now() + (1ULL << 40);  // as if the counter had been read too early here
    note_foreign_release(0x1000, late);
    note_allocation(channel, lane, 0x1000, 1, 1);
    EXPECT_GT(find_entry(lane, 0x1000)->time, late);
    note_allocation(channel, lane, 0x2000, 1, 1);
    EXPECT_LT(find_entry(lane, 0x2000)->time, late);
    note_foreign_release(0x1000, channel.now());
    EXPECT_GT(foreign_release_time(0x1000), late) << "the later time stays";
    foreign_release_place(0x1000) = 0;  // the table is the process's, and other tests'
}

TEST_F(HeapLaneOfOneThread, counts_on_from_the_time_that_a_collector_keeps) {
    const uint64_t kept = channel.now();
    channel.header()->heap_time = kept;
    lane.latest = 0;
    note_allocation(channel, lane, 0x3000, 1, 1);
    EXPECT_EQ(find_entry(lane, 0x3000)->time, kept);
    note_release(channel, lane, 0x9000);
    EXPECT_EQ(lane.latest, kept + 1);
    note_release(channel, lane, 0x9010);
    EXPECT_EQ(lane.latest, kept + 2);
    note_allocation(channel, lane, 0x9010, 1, 1);
    EXPECT_GT(find_entry(lane, 0x9010)->time, kept + 2) << "the block came back";
    // Another thread has told more since the collector looked.
    HeapLane other = {};
    ASSERT_TRUE(open_lane(channel, other, 2));
    other.latest = 0;
    note_release(channel, other, 0x9010);
    EXPECT_GT(other.latest, find_entry(lane, 0x9010)->time);
    close_lane(channel, other);
}

TEST_F(HeapLaneOfOneThread, stamps_a_release_after_an_allocation_by_the_clock) {
    note_allocation(channel, lane, 0x3000, 1, 1);
    const uint64_t allocated_at = find_entry(lane, 0x3000)->time;
    // A collector begins, and has looked at the clock a little earlier.
    channel.header()->heap_time = allocated_at - 1000;
    HeapLane other = {};
    ASSERT_TRUE(open_lane(channel, other, 2));
    other.latest = 0;
    note_release(channel, other, 0x3000);
    EXPECT_GT(other.latest, allocated_at);
    close_lane(channel, other);
}

TEST_F(HeapLaneOfOneThread, reads_the_clock_once_nobody_keeps_the_time) {
    const uint64_t kept = channel.now() - (1ULL << 31);
    channel.header()->heap_time = kept;
    for (uint64_t i = 0; i < 16; ++i) note_release(channel, lane, 0x9000 + 16 * i);
    EXPECT_EQ(channel.header()->heap_time, 0u);
    const uint64_t now = channel.now();
    note_allocation(channel, lane, 0x3000, 1, 1);
    EXPECT_GE(find_entry(lane, 0x3000)->time, now);
}

TEST_F(HeapLaneOfOneThread, is_mended_where_an_entry_was_published_and_not_cleared) {
    publish(channel, lane, HeapEventKind::kRelease, 0x9000, 0, 0, 0);
    note_allocation(channel, lane, 0x1000, 48, 5);
    *lane.next = *find_entry(lane, 0x1000);
    commit(lane);  // and here a signal handler leaves by siglongjmp
    mend_lane(lane);
    EXPECT_EQ(find_entry(lane, 0x1000), nullptr);
    note_allocation(channel, lane, 0x2000, 48, 5);
    mend_lane(lane);
    EXPECT_NE(find_entry(lane, 0x2000), nullptr) << "that one isn't published";
    const auto told = events();
    ASSERT_EQ(told.size(), 3u);
    EXPECT_EQ(told[2].address, wire::heap_word(HeapEventKind::kAllocation, 0x1000));
    HeapLane unused = {};
    ASSERT_TRUE(open_lane(channel, unused, 8));
    mend_lane(unused);
    EXPECT_EQ(unused.lane->head, 0u);
}

TEST_F(HeapLaneOfOneThread, emits_alone_over_a_lane_of_the_moment) {
    note_allocation(channel, lane, 0x1000, 48, 5);
    emit_alone(channel, 9, HeapEventKind::kRelease, 0x1000, 0, 0, 0);
    emit_alone(channel, 9, HeapEventKind::kAllocation, 0x2000, 16, 6, 0);
    EXPECT_EQ(channel.header()->lanes_used, 2u);
    const auto told = events(1);
    ASSERT_EQ(told.size(), 4u);
    EXPECT_EQ(told[0].sampled_every, 9u);
    EXPECT_EQ(told[1].address, wire::heap_word(HeapEventKind::kRelease, 0x1000));
    EXPECT_EQ(told[3].address, wire::heap_word(HeapEventKind::kAllocation, 0x2000));
    EXPECT_EQ(told[3].bytes, 16u);
    note_release(channel, lane, 0x1000);
    EXPECT_EQ(events().size(), 3u) << "what was released alone doesn't cancel";
}

TEST_F(HeapLaneOfOneThread, is_refused_when_all_are_in_use) {
    std::vector<HeapLane> lanes(channel.header()->lanes_capacity - 1);
    for (HeapLane& one : lanes) ASSERT_TRUE(open_lane(channel, one, 1));
    HeapLane more = {};
    EXPECT_FALSE(open_lane(channel, more, 1));
    EXPECT_EQ(more.window, nullptr);
    emit_alone(channel, 9, HeapEventKind::kRelease, 0x1000, 0, 0, 0);
    EXPECT_EQ(channel.header()->heap_without_lane, 1u);
    close_lane(channel, lanes[3]);
    EXPECT_TRUE(open_lane(channel, more, 1));
    EXPECT_EQ(more.number, 4u);
}

}  // namespace
}  // namespace offheap::record
