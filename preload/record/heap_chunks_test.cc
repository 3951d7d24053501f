// What a thread does when the pool has no chunk for it.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "preload/record/heap_lane.h"
#include "preload/runtime/clock.h"
#include "test/native/lane_reader.h"
#include "test/native/private_folder.h"

namespace offheap::record {
namespace {

using wire::HeapEventKind;
using wire::HeapMode;

constexpr uint32_t kChunks = 2;
constexpr uint64_t kRoom = kChunks * uint64_t{wire::kChunkEvents} - 1;  // one names the thread

class HeapPool : public testing::Test {
  protected:
    void start(HeapMode mode, uint32_t chunks = kChunks) {
        auto configuration = folder.configuration();
        configuration.heap_chunks = chunks;
        ASSERT_TRUE(channel.create(configuration, Parent()));
        header = channel.header();
        header->heap_control = wire::pack({mode, 1, 4096});
        ASSERT_TRUE(open_lane(channel, lane, 7));
    }
    void publish_events(uint64_t count) {
        for (uint64_t i = 0; i < count; ++i)
            publish(channel, lane, HeapEventKind::kRelease, 0x1000 + i, 0, 0, 0);
    }
    // As a collector that stays alive, whatever the time that passes.
    void let_a_collector_live() {
        header->collector_process_id = 1;
        header->heap_beat_ns = runtime::clock_ns(runtime::kClockMonotonic) + 1'000'000'000'000;
    }
    HeapMode mode() const { return wire::unpack_heap_control(header->heap_control).mode; }
    uint32_t epoch() const { return wire::unpack_heap_control(header->heap_control).epoch; }
    bool is_degraded(wire::Degradation reason) const {
        return (header->degraded >> static_cast<unsigned>(reason) & 1) != 0;
    }

    test::PrivateFolder folder;
    Channel channel;
    wire::Header* header = nullptr;
    HeapLane lane = {};
};

TEST_F(HeapPool, has_room_for_what_it_promises) {
    start(HeapMode::kExact);
    publish_events(kRoom);
    EXPECT_EQ(header->heap_events_lost, 0u);
    EXPECT_EQ(mode(), HeapMode::kExact);
    EXPECT_EQ(lane.lane->head, kRoom + 1);
}

TEST_F(HeapPool, turns_exact_into_sampled_at_once_without_a_collector) {
    start(HeapMode::kExact);
    const uint64_t before = channel.now();
    publish_events(kRoom + 3);
    EXPECT_EQ(mode(), HeapMode::kSampled);
    EXPECT_EQ(epoch(), 2u);
    EXPECT_EQ(wire::unpack_heap_control(header->heap_control).sample_bytes, 4096u);
    EXPECT_GE(header->heap_switched_at, before);
    EXPECT_LE(header->heap_switched_at, channel.now());
    EXPECT_TRUE(is_degraded(wire::Degradation::kHeapOverrun));
    EXPECT_EQ(header->heap_events_lost, 3u);
    EXPECT_EQ(lane.lane->events_lost, 3u);
    EXPECT_EQ(header->heap_waits, 0u);
    EXPECT_EQ(test::LaneReader(header, 0).read().size(), kRoom + 1);
}

TEST_F(HeapPool, goes_on_when_chunks_come_back) {
    start(HeapMode::kSampled);
    publish_events(kRoom + 1);
    EXPECT_EQ(header->heap_events_lost, 1u);
    test::LaneReader reader(header, 0);
    EXPECT_EQ(reader.read(/*giving_back=*/true).size(), kRoom + 1);
    publish_events(1);
    const auto events = reader.read();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].address, wire::heap_word(HeapEventKind::kRelease, 0x1000));
    EXPECT_EQ(header->heap_events_lost, 1u);
}

TEST_F(HeapPool, waits_in_exact_mode_for_a_living_collector_and_not_for_ever) {
    start(HeapMode::kExact);
    let_a_collector_live();
    const uint64_t start_ns = runtime::clock_ns(runtime::kClockMonotonic);
    publish_events(kRoom + 2);
    EXPECT_GE(runtime::clock_ns(runtime::kClockMonotonic) - start_ns, 2'000'000'000u);
    EXPECT_EQ(header->heap_waits, 1u) << "in sampled mode, nobody waits";
    EXPECT_EQ(mode(), HeapMode::kSampled);
    EXPECT_TRUE(is_degraded(wire::Degradation::kHeapOverrun));
    EXPECT_EQ(header->heap_events_lost, 2u);
}

TEST_F(HeapPool, waits_not_for_a_silent_collector) {
    start(HeapMode::kExact);
    header->collector_process_id = 1;
    header->heap_beat_ns = runtime::clock_ns(runtime::kClockMonotonic) - 2'100'000'000;
    publish_events(kRoom + 2);
    EXPECT_EQ(header->heap_waits, 0u);
    EXPECT_EQ(mode(), HeapMode::kSampled);
}

TEST_F(HeapPool, waits_for_a_collector_that_has_not_read_yet_while_it_is_there) {
    start(HeapMode::kExact);
    header->awaited_process_id = static_cast<uint32_t>(getpid());
    publish_events(kRoom + 2);
    EXPECT_EQ(header->heap_waits, 1u);
}

TEST_F(HeapPool, waits_for_no_collector_that_has_ended_before_it_read_or_has_stopped_to_read) {
    const pid_t ended = fork();
    if (ended == 0) _exit(0);
    waitpid(ended, nullptr, 0);
    const auto present = static_cast<uint32_t>(getpid());
    for (const auto& [awaited, beat_ns] :
         {std::pair{static_cast<uint32_t>(ended), 0}, std::pair{present, 1}}) {
        start(HeapMode::kExact);
        header->awaited_process_id = awaited;
        header->heap_beat_ns = beat_ns;
        publish_events(kRoom + 2);
        EXPECT_EQ(header->heap_waits, 0u);
        EXPECT_EQ(mode(), HeapMode::kSampled);
        lane = {};
    }
}

TEST_F(HeapPool, drops_without_waiting_in_other_modes) {
    for (const HeapMode mode_then : {HeapMode::kSampled, HeapMode::kOff}) {
        start(mode_then);
        let_a_collector_live();
        publish_events(kRoom + 2);
        EXPECT_EQ(mode(), mode_then);
        EXPECT_EQ(epoch(), 1u);
        EXPECT_EQ(header->heap_waits, 0u);
        EXPECT_EQ(header->heap_events_lost, 2u);
        EXPECT_FALSE(is_degraded(wire::Degradation::kHeapOverrun));
        lane = {};
    }
}

TEST_F(HeapPool, counts_chunks_without_memory_as_none) {
    start(HeapMode::kSampled, 64);
    // What lies behind the first chunks that are backed together can't be.
    publish_events(1);
    const uint64_t backed = header->chunks_backed;
    ASSERT_LT(backed, 64u);
    auto* rest = reinterpret_cast<uint8_t*>(wire::chunk_at(header, static_cast<uint32_t>(backed)));
    ASSERT_EQ(munmap(rest, (64 - backed) * wire::kChunkBytes), 0);
    publish_events(backed * wire::kChunkEvents + 5);
    EXPECT_EQ(lane.lane->head, backed * wire::kChunkEvents);
    EXPECT_EQ(header->heap_events_lost, 7u);
    EXPECT_TRUE(is_degraded(wire::Degradation::kChannelSpaceExhausted));
    EXPECT_EQ(wire::take_chunk(header), backed) << "it was given back";
}

TEST_F(HeapPool, keeps_a_sampled_block_out_of_the_set_when_its_event_is_lost) {
    start(HeapMode::kSampled);
    publish_events(kRoom);
    note_sampled(channel, lane, 0x5000, 16, 1, 4096);
    EXPECT_EQ(header->heap_events_lost, 1u);
    EXPECT_FALSE(take_sampled(0x5000));
}

}  // namespace
}  // namespace offheap::record
