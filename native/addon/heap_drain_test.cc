#include "native/addon/heap_drain.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <x86intrin.h>

#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <random>
#include <string>
#include <thread>

#include "native/addon/clock.h"
#include "native/addon/heap_columns.h"
#include "native/addon/stress/heap_writer.h"
#include "test/native/private_folder.h"

namespace offheap::addon {
namespace {

using stress::HeapLaneWriter;
using wire::HeapEventKind;
using wire::HeapMode;

struct Block {
    uint64_t address = 0;
    uint64_t time = 0;  // of the allocation
    uint64_t bytes = 0;
};

// What all threads share: addresses, which come again at once, and blocks on their way to who frees them.
struct Exchange {
    std::mutex mutex;
    std::deque<uint64_t> addresses;
    std::vector<Block> handed;
    std::atomic<uint64_t> allocations = 0, live = 0, live_bytes = 0, temporary = 0;
};

// A thread of a target, with a window of few entries.
class Worker {
  public:
    Worker(wire::Header* header, uint32_t number, Exchange& exchange)
        : lane_(header, number, 100 + number), number_(number), exchange_(exchange), random_(number) {}

    void work(int steps) {
        for (int step = 0; step < steps; ++step) {
            if (random_() % 2 == 0) {
                allocate();
            } else {
                release();
            }
        }
    }

  private:
    void allocate() {
        Block block;
        {
            const std::lock_guard lock(exchange_.mutex);
            if (exchange_.addresses.empty()) return;
            block.address = exchange_.addresses.back();
            exchange_.addresses.pop_back();
        }
        block.bytes = 1 + random_() % 1000;
        const uint32_t entry = entry_of(block.address);
        if (lane_.resting(entry).address != 0) publish_entry(entry);
        block.time = now();
        lane_.rest(entry, block.address, block.time, block.bytes, kStack + number_);
        ++exchange_.allocations;
        ++exchange_.live;
        exchange_.live_bytes += block.bytes;
        const std::lock_guard lock(exchange_.mutex);
        exchange_.handed.push_back(block);
    }

    // Of some block, by whichever thread made it.
    void release() {
        Block block;
        {
            const std::lock_guard lock(exchange_.mutex);
            if (exchange_.handed.empty()) return;
            std::swap(exchange_.handed[random_() % exchange_.handed.size()], exchange_.handed.back());
            block = exchange_.handed.back();
            exchange_.handed.pop_back();
        }
        const uint32_t entry = entry_of(block.address);
        const wire::HeapEvent& resting = lane_.resting(entry);
        if (wire::heap_address(resting) == block.address && resting.time == block.time) {
            lane_.clear(entry);
            lane_.publish(HeapEventKind::kTemporaries, 0, now(), block.bytes, kStack + number_, 1);
            ++exchange_.temporary;
        } else {
            if (wire::heap_address(resting) == block.address) publish_entry(entry);
            lane_.publish(HeapEventKind::kRelease, block.address, now());
        }
        --exchange_.live;
        exchange_.live_bytes -= block.bytes;
        const std::lock_guard lock(exchange_.mutex);
        exchange_.addresses.push_back(block.address);
    }

    void publish_entry(uint32_t entry) {
        lane_.put(lane_.resting(entry));
        lane_.clear(entry);
    }

    static uint32_t entry_of(uint64_t address) { return address / 16 % 8; }
    static uint64_t now() {
        _mm_lfence();
        return __rdtsc();
    }

    static constexpr uint32_t kStack = 1;

    HeapLaneWriter lane_;
    uint32_t number_;
    Exchange& exchange_;
    std::minstd_rand random_;
};

class HeapDrainTest : public testing::Test {
  protected:
    void SetUp() override {
        path_ = folder_.path() + "/channel";
        header_ = stress::create_heap_channel(path_.c_str(), {8, 64, wire::Clock::kTimeStampCounter});
        ASSERT_NE(header_, nullptr);
        bytes_ = header_->file_bytes;  // to be had while the file is whole
        header_->start_clock = __rdtsc();
        header_->start_monotonic_ns = monotonic_ns();
        ASSERT_FALSE(drain_.open(path_));
    }
    void TearDown() override { munmap(header_, bytes_); }

    HeapSums all() {
        HeapSums result;
        const auto failure = drain_.look([&](HeapLedger& ledger, const HeapView& view) -> MaybeFailure {
            result = sums(ledger, view.overlay);
            unknown_frees_ = ledger.unknown_frees();
            damaged_ = view.damaged;
            return {};
        });
        EXPECT_FALSE(failure) << failure->message;
        return result;
    }

    test::PrivateFolder folder_;
    std::string path_;
    wire::Header* header_ = nullptr;
    uint64_t bytes_ = 0;
    HeapDrain drain_;
    uint64_t unknown_frees_ = 0, damaged_ = 0;
};

TEST_F(HeapDrainTest, CountsExactlyWhatThreadsAllocateAndFreeForEachOther) {
    constexpr uint32_t kThreads = 4;
    constexpr int kSteps = 100'000;
    Exchange exchange;
    for (uint64_t index = 0; index < 100; ++index) exchange.addresses.push_back(0x10000 + 16 * index);
    drain_.start();
    std::vector<std::thread> threads;
    std::atomic<uint32_t> running = kThreads;
    for (uint32_t number = 0; number < kThreads; ++number) {
        threads.emplace_back([&, number] {
            Worker(header_, number, exchange).work(kSteps);
            --running;
        });
    }
    while (running > 0) {
        const HeapCounts counts = all().counts;
        EXPECT_EQ(counts.live_allocations, counts.allocations - counts.frees);
        EXPECT_LE(counts.live_allocations, 100);
        EXPECT_GE(counts.live_bytes, counts.live_allocations);
        EXPECT_EQ(unknown_frees_, 0U);
    }
    for (std::thread& thread : threads) thread.join();

    for (const bool finished : {false, true}) {
        if (finished) {
            EXPECT_FALSE(drain_.finish());
        }
        const HeapSums sums = all();
        EXPECT_EQ(sums.counts.allocations, exchange.allocations);
        EXPECT_EQ(sums.counts.live_allocations, exchange.live);
        EXPECT_EQ(sums.counts.live_bytes, exchange.live_bytes);
        EXPECT_EQ(sums.counts.temporary, exchange.temporary);
        EXPECT_EQ(unknown_frees_, 0U);
        EXPECT_EQ(damaged_, 0U);
    }
}

// The thread in the background notices by itself; the next call tells.
TEST_F(HeapDrainTest, FailsWhenTheFileIsTruncatedUnderIt) {
    HeapLaneWriter lane(header_, 0, 100);
    lane.publish(HeapEventKind::kAllocation, 4096, __rdtsc(), 10, 1);
    drain_.start();
    EXPECT_EQ(all().counts.live_allocations, 1);
    ASSERT_EQ(truncate(path_.c_str(), 0), 0);
    MaybeFailure failure;
    uint64_t events = 0;
    for (int tries = 0; tries < 1000 && !failure; ++tries) {
        failure = drain_.drain(events);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ASSERT_TRUE(failure);
    EXPECT_STREQ(failure->code, kChannelDamaged);
    drain_.close();
    EXPECT_STREQ(drain_.drain(events)->code, kChannelMissing);
}

TEST_F(HeapDrainTest, SwitchesTheModeAsOftenAsItIsAsked) {
    HeapLaneWriter lane(header_, 0, 100);
    const auto control = [&] { return wire::unpack_heap_control(header_->heap_control); };
    lane.publish(HeapEventKind::kAllocation, 4096, __rdtsc(), 10, 1);
    EXPECT_FALSE(drain_.set_mode(HeapMode::kSampled, 1000));
    EXPECT_EQ(control().mode, HeapMode::kSampled);
    EXPECT_EQ(control().epoch, 1U);
    EXPECT_EQ(control().sample_bytes, 1000U);
    EXPECT_GT(header_->heap_switched_at, header_->start_clock);
    EXPECT_EQ(all().before_bytes, 10);
    EXPECT_EQ(all().counts.live_allocations, 0);
    EXPECT_FALSE(drain_.set_mode(HeapMode::kSampled, 1000)) << "nothing to switch";
    EXPECT_EQ(control().epoch, 1U);
    EXPECT_FALSE(drain_.set_mode(HeapMode::kExact, 1000));
    lane.publish(HeapEventKind::kAllocation, 8192, __rdtsc(), 20, 1);
    EXPECT_EQ(all().counts.live_bytes, 20);
    EXPECT_EQ(control().epoch, 2U);
}

// A release may be on its way that is older than an event that is there already.
TEST_F(HeapDrainTest, TakesInNothingThatIsYoungerThanItsLookAtTheClock) {
    HeapLaneWriter lane(header_, 0, 100);
    lane.publish(HeapEventKind::kAllocation, 4096, __rdtsc(), 10, 1);
    lane.publish(HeapEventKind::kAllocation, 8192, __rdtsc() + (1ULL << 35), 10, 1);  // some ten seconds
    uint64_t events = 0;
    EXPECT_FALSE(drain_.drain(events));
    EXPECT_EQ(events, 1U);
    EXPECT_EQ(all().counts.live_allocations, 1);
    EXPECT_FALSE(drain_.finish()) << "then nothing older can come";
    EXPECT_EQ(all().counts.live_allocations, 2);
}

TEST_F(HeapDrainTest, HoldsStillWhileItIsHeld) {
    HeapLaneWriter lane(header_, 0, 100);
    lane.publish(HeapEventKind::kAllocation, 4096, __rdtsc(), 10, 1);
    drain_.hold();
    EXPECT_EQ(all().counts.allocations, 1);
    lane.publish(HeapEventKind::kAllocation, 8192, __rdtsc(), 10, 1);
    lane.rest(3, 12288, __rdtsc(), 10, 1);
    EXPECT_EQ(all().counts.allocations, 1);
    drain_.let_go();
    EXPECT_EQ(all().counts.allocations, 3);
}

}  // namespace
}  // namespace offheap::addon
