// What is left in the channel of a process that nobody collects means just what happened.
#include "preload/record/backlog.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ctime>

#include "test/native/channel_reader.h"
#include "test/native/history.h"
#include "test/native/page_map.h"
#include "test/native/private_folder.h"

namespace offheap::record {
namespace {

using test::first_position;
using test::History;
using test::kFirstBreak;
using test::PageMap;
using test::PrivateFolder;
using test::recorded_events;
using wire::Header;

uint64_t monotonic_ns() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

class BacklogTest : public testing::Test {
  protected:
    void create(uint64_t ring_events) {
        channel_ = Channel();
        ASSERT_TRUE(channel_.create(folder_.configuration(ring_events), Parent()));
        header()->backlog_capacity = 4 * ring_events;  // small, so that it must be squeezed
    }
    Header* header() { return channel_.header(); }
    uint64_t room() { return header()->backlog_capacity - header()->backlog_used; }
    uint64_t in_ring() { return header()->ring_head - header()->ring_tail; }

    // Hands out all that a collector would, and frees it.
    void collect(PageMap* ledger) {
        for (const wire::Event& event : recorded_events(header())) ledger->apply(event);
        header()->backlog_used = 0;
        wire::free_until(header(), header()->ring_head);
    }

    static void fill_ring(History* history, uint64_t mappings) {
        for (uint64_t i = 0; i < mappings; ++i) history->map(0x20000 + i * 16, 4);
    }

    PrivateFolder folder_;
    Channel channel_;
};

TEST_F(BacklogTest, means_what_happened) {
    uint64_t cancelled = 0;
    for (uint32_t seed = 1; seed <= 60; ++seed) {
        SCOPED_TRACE(seed);
        create(seed % 3 == 0 ? 64 : seed % 3 == 1 ? 256 : 1024);
        History history(channel_, seed);
        for (int step = 0; step < 12'000 && room() > 2; ++step) {
            history.step();
            if (step % 997 != 0) continue;
            PageMap replayed(kFirstBreak);
            for (const wire::Event& event : recorded_events(header())) replayed.apply(event);
            ASSERT_EQ(replayed.pages(), history.whole().pages()) << "step " << step;
        }
        PageMap replayed(kFirstBreak);
        for (const wire::Event& event : recorded_events(header())) replayed.apply(event);
        ASSERT_EQ(replayed.pages(), history.whole().pages());
        ASSERT_EQ(history.lost(), 0u);
        cancelled += header()->events_cancelled;
    }
    EXPECT_GT(cancelled, 10'000u) << "the histories must make the backlog drop something";
}

TEST_F(BacklogTest, means_what_happened_when_collectors_come_and_go) {
    for (uint32_t seed = 100; seed <= 140; ++seed) {
        SCOPED_TRACE(seed);
        create(64);
        History history(channel_, seed);
        PageMap ledger(kFirstBreak);
        std::mt19937 random(seed);
        for (int step = 0; step < 5'000; ++step) {
            history.step();
            if (room() > 16 && random() % 400 != 0) continue;
            collect(&ledger);
            ASSERT_EQ(ledger.pages(), history.whole().pages()) << "step " << step;
        }
        ASSERT_EQ(history.lost(), 0u);
    }
}

// Each case in which a mapping and the release of just its range must not both be dropped.
TEST_F(BacklogTest, keeps_the_release_of_a_mapping_with_another_in_its_hole) {
    create(64);
    History history(channel_, 1);
    history.map(0x100, 10);
    history.unmap(0x102, 2);
    history.map(0x102, 2);
    history.unmap(0x100, 10);
    fill_ring(&history, 200);
    PageMap replayed(kFirstBreak);
    for (const wire::Event& event : recorded_events(header())) replayed.apply(event);
    EXPECT_EQ(replayed.pages(), history.whole().pages());
}

TEST_F(BacklogTest, keeps_the_release_of_a_mapping_that_lay_over_another) {
    create(64);
    History history(channel_, 1);
    history.map(0x100, 10);
    history.map(0x102, 2, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED);
    history.unmap(0x102, 2);
    fill_ring(&history, 200);
    PageMap replayed(kFirstBreak);
    for (const wire::Event& event : recorded_events(header())) replayed.apply(event);
    EXPECT_EQ(replayed.pages(), history.whole().pages());
    EXPECT_TRUE(history.whole().is_free(0x102, 2));
}

TEST_F(BacklogTest, holds_what_is_live_and_not_what_happened) {
    create(64);
    History history(channel_, 1);
    for (uint64_t i = 0; i < 100'000; ++i) {
        history.map(0x100 + i % 7 * 16, 4);
        history.unmap(0x100 + i % 7 * 16, 4);
    }
    EXPECT_EQ(history.lost(), 0u);
    EXPECT_LT(header()->backlog_used, 8u);
}

// Heaps of language runtimes commit and decommit by mapping over what is there.
TEST_F(BacklogTest, drops_what_lies_under_later_mappings) {
    create(64);
    History history(channel_, 1);
    history.map(0x100, 64);
    for (uint64_t i = 0; i < 20'000; ++i)
        history.map(0x100 + i % 8 * 8, 8, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED);
    EXPECT_EQ(history.lost(), 0u);
    EXPECT_LT(header()->backlog_used, header()->backlog_capacity);
    PageMap replayed(kFirstBreak);
    for (const wire::Event& event : recorded_events(header())) replayed.apply(event);
    EXPECT_EQ(replayed.pages(), history.whole().pages());
}

TEST_F(BacklogTest, loses_and_counts_events_when_all_is_full) {
    create(64);
    History history(channel_, 1);
    const uint64_t capacity = header()->ring_capacity + header()->backlog_capacity;
    fill_ring(&history, capacity + 100);
    EXPECT_EQ(history.lost(), 100u);
    EXPECT_EQ(header()->events_lost, 100u);
    EXPECT_EQ(recorded_events(header()).size(), capacity);
    PageMap ledger(kFirstBreak);
    collect(&ledger);
    EXPECT_EQ(ledger.pages(), history.whole().pages());
    fill_ring(&history, capacity);
    EXPECT_EQ(history.lost(), 100u) << "a collector has made room";
}

TEST_F(BacklogTest, has_nothing_to_do_while_there_is_room) {
    create(64);
    History history(channel_, 1);
    fill_ring(&history, 63);
    OwnedRange own;
    EXPECT_EQ(compact(channel_, &own), Compaction::kMadeRoom);
    EXPECT_EQ(in_ring(), 63u);
    EXPECT_EQ(header()->backlog_used, 0u);
    EXPECT_EQ(header()->consumer_lock, 0u);
}

TEST_F(BacklogTest, keeps_the_newest_quarter_in_the_ring) {
    create(64);
    History history(channel_, 1);
    fill_ring(&history, 64);
    OwnedRange own;
    EXPECT_EQ(compact(channel_, &own), Compaction::kMadeRoom);
    EXPECT_EQ(in_ring(), 16u);
    EXPECT_EQ(header()->backlog_used, 48u);
}

TEST_F(BacklogTest, leaves_the_ring_to_a_living_collector) {
    create(64);
    History history(channel_, 1);
    fill_ring(&history, 64);
    const auto collector = static_cast<uint32_t>(getppid());
    header()->consumer_lock = collector;
    header()->collector_beat_ns = monotonic_ns();
    OwnedRange own;
    EXPECT_NE(compact(channel_, &own), Compaction::kMadeRoom);
    EXPECT_EQ(in_ring(), 64u);
    EXPECT_EQ(header()->consumer_lock, collector);
}

TEST_F(BacklogTest, takes_the_lock_of_a_dead_collector) {
    create(64);
    History history(channel_, 1);
    fill_ring(&history, 64);
    const pid_t collector = fork();
    if (collector == 0) _exit(0);
    ASSERT_EQ(waitpid(collector, nullptr, 0), collector);
    header()->consumer_lock = static_cast<uint32_t>(collector);
    header()->collector_beat_ns = monotonic_ns() - 3'000'000'000;
    OwnedRange own;
    EXPECT_EQ(compact(channel_, &own), Compaction::kMadeRoom);
    EXPECT_EQ(in_ring(), 16u);
    EXPECT_EQ(header()->consumer_lock, 0u);
}

TEST_F(BacklogTest, waits_for_no_other_thread) {
    create(64);
    History history(channel_, 1);
    fill_ring(&history, 64);
    header()->consumer_lock = header()->process_id;
    OwnedRange own;
    EXPECT_EQ(compact(channel_, &own), Compaction::kBusy);
    EXPECT_EQ(in_ring(), 64u);
}

TEST_F(BacklogTest, stops_before_a_record_that_is_being_written) {
    create(64);
    History history(channel_, 1);
    fill_ring(&history, 10);
    const wire::Slot stalled = wire::reserve(header());
    fill_ring(&history, 53);
    OwnedRange own;
    EXPECT_EQ(compact(channel_, &own), Compaction::kMadeRoom);
    EXPECT_EQ(header()->ring_tail, stalled.position);
    EXPECT_EQ(first_position(header()), stalled.position);
    EXPECT_EQ(header()->backlog_used, 10u);
}

TEST_F(BacklogTest, moves_nothing_behind_a_record_that_is_being_written) {
    create(64);
    History history(channel_, 1);
    const wire::Slot stalled = wire::reserve(header());
    ASSERT_EQ(stalled.position, 0u);
    fill_ring(&history, 63);
    OwnedRange own;
    EXPECT_NE(compact(channel_, &own), Compaction::kMadeRoom);
    EXPECT_EQ(in_ring(), 64u);
    EXPECT_EQ(header()->backlog_used, 0u);
    EXPECT_EQ(header()->consumer_lock, 0u);
}

TEST_F(BacklogTest, counts_a_record_that_was_given_up_and_goes_on) {
    create(64);
    History history(channel_, 1);
    fill_ring(&history, 10);
    const wire::Slot left = wire::reserve(header());
    fill_ring(&history, 53);
    wire::give_up(header(), left.position);
    OwnedRange own;
    EXPECT_EQ(compact(channel_, &own), Compaction::kMadeRoom);
    EXPECT_EQ(header()->ring_tail, 48u) << "all but the newest quarter";
    EXPECT_EQ(header()->backlog_used, 47u);
    EXPECT_EQ(header()->events_lost, 1u);
}

// The index of the backlog belongs to one channel: a forked child's must not name the parent's slots.
TEST_F(BacklogTest, begins_anew_with_a_new_channel) {
    create(64);
    History first(channel_, 1);
    fill_ring(&first, 64);
    OwnedRange own;
    ASSERT_EQ(compact(channel_, &own), Compaction::kMadeRoom);
    create(64);
    History second(channel_, 2);
    fill_ring(&second, 20);
    second.unmap(0x20000 + 30 * 16, 4);  // of the first channel
    fill_ring(&second, 43);
    ASSERT_EQ(compact(channel_, &own), Compaction::kMadeRoom);
    EXPECT_EQ(recorded_events(header()).size(), 64u);
}

}  // namespace
}  // namespace offheap::record
