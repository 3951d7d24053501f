// The ring's protocol: alone, between threads, and with a producer that stops half-way.
#include "native/wire/ring.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "test/native/plain_channel.h"

namespace offheap::wire {
namespace {

using test::PlainChannel;

// A record that tells whether it is whole: every field follows from `value`.
void fill(Event* event, uint64_t value) {
    event->time = value;
    event->arg0 = value * 3;
    event->arg5 = ~value;
    event->result = value ^ 0x5555;
    event->extra = value << 7;
}

bool is_whole(const Event& event) {
    const uint64_t value = event.time;
    return event.arg0 == value * 3 && event.arg5 == ~value && event.result == (value ^ 0x5555) &&
           event.extra == value << 7;
}

uint64_t append(Header* header, uint64_t value) {
    const Slot slot = reserve(header);
    EXPECT_EQ(slot.outcome, Reserve::kReserved);
    Event* event = event_at(header, slot.position);
    fill(event, value);
    commit(event, slot.position);
    return slot.position;
}

TEST(Ring, hands_out_positions_in_order) {
    PlainChannel channel(8);
    for (uint64_t i = 0; i < 8; ++i) {
        EXPECT_EQ(append(channel.header(), i), i);
        EXPECT_EQ(event_at(channel.header(), i)->sequence, i + 1);
    }
}

TEST(Ring, is_full_until_a_slot_is_freed) {
    PlainChannel channel(8);
    for (uint64_t i = 0; i < 8; ++i) append(channel.header(), i);
    EXPECT_EQ(reserve(channel.header()).outcome, Reserve::kFull);
    EXPECT_EQ(channel.header()->ring_head, 8u) << "a refused position must not be taken";
    free_until(channel.header(), 1);
    EXPECT_EQ(append(channel.header(), 8), 8u);
    EXPECT_EQ(reserve(channel.header()).outcome, Reserve::kFull);
}

TEST(Ring, uses_slots_again_after_the_wrap) {
    PlainChannel channel(8);
    for (uint64_t i = 0; i < 8; ++i) append(channel.header(), i);
    const Event* first = event_at(channel.header(), 0);
    free_until(channel.header(), 8);
    EXPECT_EQ(event_at(channel.header(), 8), first);
    EXPECT_FALSE(is_committed(first, 8)) << "the old record must not pass for the new one";
    append(channel.header(), 8);
    EXPECT_TRUE(is_committed(first, 8));
    EXPECT_FALSE(is_committed(first, 0));
}

TEST(Ring, asks_for_memory_before_a_slot_is_touched) {
    PlainChannel channel(8);
    channel.header()->ring_reserved = 2 * sizeof(Event);
    append(channel.header(), 0);
    append(channel.header(), 1);
    const Slot slot = reserve(channel.header());
    EXPECT_EQ(slot.outcome, Reserve::kNeedsSpace);
    EXPECT_EQ(slot.position, 2u);
    EXPECT_EQ(channel.header()->ring_head, 2u);
    channel.header()->ring_reserved = 8 * sizeof(Event);
    EXPECT_EQ(append(channel.header(), 2), 2u);
}

TEST(Ring, asks_for_no_memory_in_the_second_round) {
    PlainChannel channel(8);
    for (uint64_t i = 0; i < 8; ++i) append(channel.header(), i);
    free_until(channel.header(), 8);
    channel.header()->ring_reserved = 0;  // what was backed once stays so
    EXPECT_EQ(reserve(channel.header()).outcome, Reserve::kReserved);
}

TEST(Ring, does_not_show_a_record_before_its_commit) {
    PlainChannel channel(8);
    const Slot stalled = reserve(channel.header());
    append(channel.header(), 1);
    Event* event = event_at(channel.header(), stalled.position);
    fill(event, 0);
    EXPECT_FALSE(is_committed(event, stalled.position));
    EXPECT_TRUE(is_committed(event_at(channel.header(), 1), 1)) << "a later one is there already";
    commit(event, stalled.position);
    EXPECT_TRUE(is_committed(event, stalled.position));
}

// Reads `total` records while producers write; each must be whole, in its producer's order, and there once.
void consume(Header* header, uint32_t producers, uint64_t total) {
    std::vector<uint64_t> next(producers);
    for (uint64_t position = 0; position < total; ++position) {
        const Event* event = event_at(header, position);
        while (!is_committed(event, position)) std::this_thread::yield();
        const Event copy = *event;
        ASSERT_TRUE(is_whole(copy)) << "at position " << position;
        const uint64_t producer = copy.time >> 32;
        ASSERT_LT(producer, producers);
        ASSERT_EQ(copy.time & 0xffffffff, next[producer]++);
        free_until(header, position + 1);
    }
}

TEST(Ring, carries_whole_records_from_many_producers) {
    constexpr uint32_t kProducers = 4;
    constexpr uint64_t kEach = 20'000;
    PlainChannel channel(64);
    std::vector<std::thread> producers;
    for (uint64_t producer = 0; producer < kProducers; ++producer) {
        producers.emplace_back([&channel, producer] {
            for (uint64_t i = 0; i < kEach;) {
                const Slot slot = reserve(channel.header());
                if (slot.outcome != Reserve::kReserved) {
                    std::this_thread::yield();
                    continue;
                }
                Event* event = event_at(channel.header(), slot.position);
                fill(event, producer << 32 | i++);
                commit(event, slot.position);
            }
        });
    }
    consume(channel.header(), kProducers, kProducers * kEach);
    for (std::thread& producer : producers) producer.join();
    EXPECT_EQ(channel.header()->ring_head, kProducers * kEach);
}

TEST(Ring, stops_the_others_at_one_round_behind_a_stalled_producer) {
    PlainChannel channel(16);
    const Slot stalled = reserve(channel.header());
    std::vector<std::thread> producers;
    for (int producer = 0; producer < 3; ++producer) {
        producers.emplace_back([&channel] {
            for (;;) {
                const Slot slot = reserve(channel.header());
                if (slot.outcome == Reserve::kFull) return;
                Event* event = event_at(channel.header(), slot.position);
                fill(event, slot.position);
                commit(event, slot.position);
            }
        });
    }
    for (std::thread& producer : producers) producer.join();
    EXPECT_EQ(channel.header()->ring_head, 16u);
    Event* event = event_at(channel.header(), stalled.position);
    EXPECT_FALSE(is_committed(event, stalled.position)) << "the consumer must wait here";
    fill(event, 0);
    commit(event, stalled.position);
    for (uint64_t position = 0; position < 16; ++position) {
        EXPECT_TRUE(is_committed(event_at(channel.header(), position), position));
        EXPECT_TRUE(is_whole(*event_at(channel.header(), position)));
    }
}

TEST(Ring, passes_over_a_position_that_was_given_up) {
    PlainChannel channel(8);
    const Slot left = reserve(channel.header());
    append(channel.header(), 1);
    give_up(channel.header(), left.position);
    const Event* event = event_at(channel.header(), left.position);
    EXPECT_TRUE(is_given_up(event, left.position));
    EXPECT_FALSE(is_committed(event, left.position));
    for (uint64_t i = 2; i < 8; ++i) append(channel.header(), i);
    free_until(channel.header(), 8);
    const uint64_t next = reserve(channel.header()).position;
    ASSERT_EQ(event_at(channel.header(), next), event);
    EXPECT_EQ(filling_of(event->sequence, next), Filling::kPending) << "another round's";
    commit(event_at(channel.header(), next), next);
    EXPECT_TRUE(is_committed(event, next));
}

TEST(Ring, gives_up_nothing_but_what_is_pending) {
    PlainChannel channel(8);
    for (uint64_t i = 0; i < 3; ++i) append(channel.header(), i);
    give_up(channel.header(), 1);
    EXPECT_TRUE(is_committed(event_at(channel.header(), 1), 1));
    give_up(channel.header(), 3);  // nobody has taken it
    EXPECT_EQ(event_at(channel.header(), 3)->sequence, 0u);
    const Slot left = reserve(channel.header());
    free_until(channel.header(), left.position + 1);  // the consumer has lost patience
    give_up(channel.header(), left.position);
    EXPECT_EQ(event_at(channel.header(), left.position)->sequence, 0u);
}

TEST(Ring, takes_no_impossible_sequence_for_a_record) {
    EXPECT_EQ(filling_of(0, 0), Filling::kPending);
    EXPECT_EQ(filling_of(5, 4), Filling::kCommitted);
    EXPECT_EQ(filling_of(5 | kGivenUp, 4), Filling::kGivenUp);
    EXPECT_EQ(filling_of(13, 4), Filling::kOverwritten);
    EXPECT_EQ(filling_of(13 | kGivenUp, 4), Filling::kOverwritten);
    EXPECT_EQ(filling_of(~uint64_t{0}, 4), Filling::kOverwritten);
}

}  // namespace
}  // namespace offheap::wire
