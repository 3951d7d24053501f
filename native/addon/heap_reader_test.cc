#include "native/addon/heap_reader.h"

#include <ctype.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "native/addon/stress/heap_writer.h"
#include "test/native/private_folder.h"

namespace offheap::addon {
namespace {

using stress::HeapLaneWriter;
using wire::HeapEventKind;

class Collected : public HeapEventSink {
  public:
    struct Event {
        uint32_t lane;
        uint64_t position, time;
        bool operator==(const Event&) const = default;
    };
    void expect(const wire::HeapEvent* events, size_t count) override {
        for (size_t index = 0; index < count; ++index) expected.insert(events[index].time);
    }
    void apply(uint32_t lane, uint64_t position, const wire::HeapEvent* events, size_t count,
               size_t ahead) override {
        EXPECT_GE(ahead, count);
        for (size_t index = 0; index < count; ++index)
            all.push_back({lane, position + index, events[index].time});
        for (size_t index = 0; index < ahead; ++index) EXPECT_TRUE(expected.contains(events[index].time));
    }
    std::vector<Event> all;
    std::set<uint64_t> expected;
};

class HeapReaderTest : public testing::Test {
  protected:
    void SetUp() override {
        path_ = folder_.path() + "/channel";
        header_ = stress::create_heap_channel(path_.c_str(), {4, kChunks});
        ASSERT_NE(header_, nullptr);
        header_->lanes_used = 4;
    }
    void TearDown() override { stress::remove_heap_channel(header_); }

    struct Reading {
        explicit Reading(const std::string& path) {
            EXPECT_FALSE(file.open(path));
            EXPECT_TRUE(page.map(file.descriptor()));
        }
        // Times of what was read.
        Collected read(uint64_t until = UINT64_MAX) {
            Collected collected;
            std::vector<wire::Lane> lanes;
            EXPECT_FALSE(reader.read_lanes(4, lanes));
            EXPECT_FALSE(reader.read(until, lanes, collected));
            return collected;
        }
        ChannelFile file;
        GuardedPage page;
        HeapReader reader{file, page};
    };

    void publish(HeapLaneWriter& lane, uint64_t time) { lane.publish(HeapEventKind::kRelease, 4096, time); }
    uint32_t free_chunks() const {
        uint32_t count = 0;
        for (uint32_t word = 0; word < (kChunks + 63) / 64; ++word)
            count += static_cast<uint32_t>(__builtin_popcountll(wire::chunk_bits(header_)[word]));
        return count;
    }

    static constexpr uint32_t kChunks = 100;
    test::PrivateFolder folder_;
    std::string path_;
    wire::Header* header_ = nullptr;
};

TEST_F(HeapReaderTest, MergesLanesByTimeAndKeepsTheirOrder) {
    HeapLaneWriter first(header_, 0, 10), second(header_, 1, 11);
    for (const uint64_t time : {10, 30, 5, 40}) publish(first, time);  // 5 is told late
    for (const uint64_t time : {20, 35, 36}) publish(second, time);
    Reading reading(path_);
    const std::vector<Collected::Event> expected = {{0, 0, 10}, {1, 0, 20}, {0, 1, 30}, {0, 2, 5},
                                                    {1, 1, 35}, {1, 2, 36}, {0, 3, 40}};
    EXPECT_EQ(reading.read().all, expected);
    EXPECT_EQ(reading.read().all.size(), 0U);
}

TEST_F(HeapReaderTest, HoldsBackWhatIsYoungerThanTheMoment) {
    HeapLaneWriter first(header_, 0, 10), second(header_, 1, 11);
    for (const uint64_t time : {10, 30, 40}) publish(first, time);
    for (const uint64_t time : {20, 50}) publish(second, time);
    Reading reading(path_);
    EXPECT_EQ(reading.read(30).all.size(), 3U);
    EXPECT_EQ(reading.read(49).all, (std::vector<Collected::Event>{{0, 2, 40}}));
    EXPECT_EQ(reading.read(50).all, (std::vector<Collected::Event>{{1, 1, 50}}));
}

TEST_F(HeapReaderTest, ReadsAcrossChunksAndGivesThemBack) {
    HeapLaneWriter lane(header_, 2, 10);
    const uint64_t events = 20 * wire::kChunkEvents;
    for (uint64_t time = 1; time <= events; ++time) publish(lane, time);
    EXPECT_EQ(free_chunks(), kChunks - 20);
    Reading reading(path_);
    const Collected collected = reading.read();
    ASSERT_EQ(collected.all.size(), events);
    for (uint64_t position = 0; position < events; ++position) {
        ASSERT_EQ(collected.all[position], (Collected::Event{2, position, position + 1}));
    }
    EXPECT_EQ(free_chunks(), kChunks - 1) << "the last one is the lane's still";
    publish(lane, events + 1);
    EXPECT_EQ(reading.read().all.size(), 1U);
    EXPECT_EQ(free_chunks(), kChunks - 1);
    EXPECT_EQ(reading.reader.events(), events + 1);
    EXPECT_EQ(reading.reader.damaged(), 0U);
}

// Counts how often the reader has shown meanwhile that it lives.
class BeatCounter final : public HeapEventSink {
  public:
    explicit BeatCounter(const wire::Header* header) : header_(header) {}
    void expect(const wire::HeapEvent*, size_t) override {}
    void apply(uint32_t, uint64_t, const wire::HeapEvent*, size_t, size_t) override {
        const uint64_t beat_ns = __atomic_load_n(&header_->heap_beat_ns, __ATOMIC_ACQUIRE);
        beats += beat_ns != last_beat_ns_;
        last_beat_ns_ = beat_ns;
    }
    uint32_t beats = 0;

  private:
    const wire::Header* header_;
    uint64_t last_beat_ns_ = 0;
};

TEST_F(HeapReaderTest, ShowsThatItLivesWithEachChunkThatItGivesBack) {
    HeapLaneWriter lane(header_, 2, 10);
    for (uint64_t time = 1; time <= 20 * wire::kChunkEvents; ++time) publish(lane, time);
    Reading reading(path_);
    BeatCounter sink(header_);
    std::vector<wire::Lane> lanes;
    ASSERT_FALSE(reading.reader.read_lanes(header_->lanes_used, lanes));
    ASSERT_FALSE(reading.reader.read(UINT64_MAX, lanes, sink));
    EXPECT_EQ(sink.beats, 19U) << "the last chunk is the lane's still";
}

TEST_F(HeapReaderTest, GoesOnWhereAnEarlierReaderStopped) {
    HeapLaneWriter lane(header_, 0, 10);
    uint64_t time = 0;
    for (const uint64_t events : {uint64_t{700}, 2 * wire::kChunkEvents - uint64_t{700}, uint64_t{1}}) {
        for (uint64_t count = 0; count < events; ++count) publish(lane, ++time);
        Reading reading(path_);
        const Collected collected = reading.read();
        ASSERT_EQ(collected.all.size(), events);
        EXPECT_EQ(collected.all.back().time, time);
        EXPECT_FALSE(reading.reader.note_tails());
    }
}

TEST_F(HeapReaderTest, KeepsAChunkOfWhichSomethingIsHeldBack) {
    HeapLaneWriter lane(header_, 0, 10);
    for (uint64_t time = 1; time <= 2 * wire::kChunkEvents; ++time) publish(lane, time);
    Reading reading(path_);
    EXPECT_EQ(reading.read(wire::kChunkEvents - 1).all.size(), wire::kChunkEvents - 1);
    EXPECT_EQ(free_chunks(), kChunks - 2);
    EXPECT_EQ(reading.read().all.size(), wire::kChunkEvents + 1);
    EXPECT_EQ(free_chunks(), kChunks - 1);
}

TEST_F(HeapReaderTest, DropsAnEventFromTheFarFuture) {
    HeapLaneWriter lane(header_, 0, 10);
    for (const uint64_t time : {uint64_t{1}, uint64_t{1} << 60, uint64_t{2}}) publish(lane, time);
    Reading reading(path_);
    EXPECT_EQ(reading.read(1000).all.size(), 2U);
    EXPECT_EQ(reading.reader.damaged(), 1U);
}

// What each does to a lane of three chunks.
struct Damage {
    const char* name;
    void (*act)(wire::Header* header);
    uint64_t events;  // that are read all the same
};

class DamagedLane : public HeapReaderTest, public testing::WithParamInterface<Damage> {};

TEST_P(DamagedLane, EndsThere) {
    HeapLaneWriter lane(header_, 0, 10), other(header_, 1, 11);
    for (uint64_t time = 1; time <= 3 * wire::kChunkEvents; ++time) publish(lane, time);
    for (uint64_t time = 1; time <= 5; ++time) publish(other, time);
    GetParam().act(header_);
    Reading reading(path_);
    EXPECT_EQ(reading.read().all.size(), GetParam().events + 5) << "the other lane is whole";
    EXPECT_EQ(reading.reader.damaged(), 1U);
    EXPECT_EQ(reading.read().all.size(), 0U);
    EXPECT_EQ(reading.reader.damaged(), 1U) << "it is counted once";
}

wire::Chunk* chunk_of(wire::Header* header, uint32_t index) { return wire::chunk_at(header, index); }

INSTANTIATE_TEST_SUITE_P(
    All, DamagedLane,
    testing::Values(
        Damage{"no first chunk", [](wire::Header* header) { wire::lane_at(header, 0)->first_chunk = 0; }, 0},
        Damage{"a first chunk that is none",
               [](wire::Header* header) { wire::lane_at(header, 0)->first_chunk = ~0U; }, 0},
        Damage{"a head beyond the pool",
               [](wire::Header* header) { wire::lane_at(header, 0)->head = UINT64_MAX; }, 0},
        Damage{"a tail in no chunk", [](wire::Header* header) { wire::lane_at(header, 0)->tail = 0xffffff; },
               0},
        Damage{"a tail behind its chunk",
               [](wire::Header* header) { wire::lane_at(header, 0)->tail = 600ULL << 24 | 1; }, 0},
        Damage{"a link to nowhere", [](wire::Header* header) { chunk_of(header, 1)->next = 5000; },
               2 * wire::kChunkEvents},
        Damage{"a link that is missing", [](wire::Header* header) { chunk_of(header, 0)->next = 0; },
               wire::kChunkEvents},
        Damage{"a cycle", [](wire::Header* header) { chunk_of(header, 1)->next = 1; },
               2 * wire::kChunkEvents},
        Damage{"a link to itself", [](wire::Header* header) { chunk_of(header, 0)->next = 1; },
               wire::kChunkEvents},
        Damage{"another lane's chunk", [](wire::Header* header) { chunk_of(header, 1)->lane = 1; },
               wire::kChunkEvents},
        Damage{"a chunk of another place",
               [](wire::Header* header) { chunk_of(header, 2)->first_position += wire::kChunkEvents; },
               2 * wire::kChunkEvents}),
    [](const testing::TestParamInfo<Damage>& damage) {
        std::string name = damage.param.name;
        std::replace_if(
            name.begin(), name.end(), [](char each) { return isalnum(each) == 0; }, '_');
        return name;
    });

}  // namespace
}  // namespace offheap::addon
