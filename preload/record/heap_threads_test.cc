// Many threads at their lanes, and a collector that reads meanwhile.
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <random>
#include <thread>

#include "preload/record/heap_lane.h"
#include "preload/runtime/clock.h"
#include "test/native/lane_ledger.h"
#include "test/native/private_folder.h"

namespace offheap::record {
namespace {

using wire::HeapEvent;
using wire::HeapEventKind;

#if defined(__SANITIZE_THREAD__)
constexpr uint64_t kCalls = 30'000;
#else
constexpr uint64_t kCalls = 200'000;
#endif

class HeapThreads : public testing::Test {
  protected:
    void start(uint32_t chunks) {
        auto configuration = folder.configuration();
        configuration.heap_chunks = chunks;
        ASSERT_TRUE(channel.create(configuration, Parent()));
        header = channel.header();
        header->heap_control = wire::pack({wire::HeapMode::kExact, 1, 1 << 19});
    }

    test::PrivateFolder folder;
    Channel channel;
    wire::Header* header = nullptr;
};

// Beats, reads, and gives chunks back, until it is stopped.
class Collector {
  public:
    explicit Collector(wire::Header* header) : header_(header), ledger_(header) {
        beat();
        __atomic_store_n(&header->collector_process_id, 1, __ATOMIC_RELAXED);
        thread_ = std::thread([this] {
            for (uint32_t turn = 0; !stopped_; ++turn) {
                beat();
                keep_time(turn);
                look_at_windows();
                ledger_.read(/*giving_back=*/true);
            }
        });
    }
    test::LaneLedger& stop() {
        stopped_ = true;
        thread_.join();
        ledger_.read(true);
        return ledger_;
    }
    uint64_t entries_seen() const { return entries_seen_; }

  private:
    void beat() {
        __atomic_store_n(&header_->heap_beat_ns, runtime::clock_ns(runtime::kClockMonotonic),
                         __ATOMIC_RELAXED);
    }
    // Or has the threads read the clock for a while.
    void keep_time(uint32_t turn) {
        const uint64_t now = runtime::read_time_stamp_counter();
        __atomic_store_n(&header_->heap_time, turn % 4 == 3 ? 0 : now + 1, __ATOMIC_SEQ_CST);  // [time]
    }
    // What is read whole must make sense.
    void look_at_windows() {
        const uint64_t lanes = __atomic_load_n(&header_->lanes_used, __ATOMIC_ACQUIRE);
        for (uint32_t lane = 0; lane < lanes; ++lane) {
            for (uint32_t i = 0; i < wire::kWindowEvents; ++i) {
                HeapEvent entry;
                if (!test::read_whole(&wire::window_of(header_, lane)[i], &entry) || entry.address == 0)
                    continue;
                ++entries_seen_;
                ASSERT_EQ(wire::heap_kind(entry), HeapEventKind::kAllocation);
                ASSERT_EQ(entry.bytes, wire::heap_address(entry) + entry.stack) << "of another block";
            }
        }
    }

    wire::Header* header_;
    test::LaneLedger ledger_;
    std::atomic<bool> stopped_ = false;
    std::thread thread_;
    uint64_t entries_seen_ = 0;
};

// Hands out addresses and takes them back, as real ones do: what one thread has freed another soon gets.
class Allocator {
  public:
    explicit Allocator(uint64_t blocks) {
        for (uint64_t i = 0; i < blocks; ++i) free_.push_back(0x10000 + i * 16);
    }
    uint64_t allocate() {
        const std::lock_guard lock(mutex_);
        if (free_.empty()) return 0;
        const uint64_t address = free_.back();
        free_.pop_back();
        return address;
    }
    void free(uint64_t address) {
        const std::lock_guard lock(mutex_);
        free_.push_back(address);
    }

  private:
    std::mutex mutex_;
    std::vector<uint64_t> free_;
};

// Where threads leave blocks for whoever comes.
using Exchange = std::array<std::atomic<uint64_t>, 32>;

void allocate_and_free(Channel& channel, Allocator& allocator, Exchange& exchange, uint32_t thread,
                       std::vector<uint64_t>* allocations) {
    HeapLane lane = {};
    ASSERT_TRUE(open_lane(channel, lane, thread));
    std::mt19937 random(thread);
    allocations->resize(64);
    for (uint64_t call = 0; call < kCalls; ++call) {
        const uint64_t address = allocator.allocate();
        if (address != 0) {
            const uint32_t stack = random() % 64;
            note_allocation(channel, lane, address, address + stack, stack);
            ++(*allocations)[stack];
        }
        const uint64_t other = exchange[random() % exchange.size()].exchange(address);
        if (other != 0) {
            note_release(channel, lane, other);
            allocator.free(other);
        }
    }
    close_lane(channel, lane);
}

TEST_F(HeapThreads, free_each_others_blocks_and_the_account_is_exact) {
    start(512);
    Allocator allocator(300);
    Exchange exchange = {};
    Collector collector(header);
    constexpr uint32_t kThreads = 3;
    std::vector<std::vector<uint64_t>> allocations(kThreads);
    std::vector<std::thread> threads;
    for (uint32_t thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back(allocate_and_free, std::ref(channel), std::ref(allocator), std::ref(exchange),
                             thread + 1, &allocations[thread]);
    }
    for (std::thread& thread : threads) thread.join();
    uint64_t mistakes = 0;
    test::HeapAccount account = collector.stop().account(&mistakes);
    EXPECT_EQ(mistakes, 0u) << "a release before its allocation, or an allocation of what lives";
    EXPECT_GT(collector.entries_seen(), 0u);
    uint64_t left = 0;
    for (const auto& place : exchange) {
        if (place == 0) continue;
        ++left;
        EXPECT_TRUE(account.live.contains(place));
    }
    EXPECT_EQ(account.live.size(), left);
    uint64_t all = 0;
    for (uint32_t stack = 0; stack < 64; ++stack) {
        uint64_t truth = 0;
        for (const auto& of_thread : allocations) truth += of_thread[stack];
        EXPECT_EQ(account.allocations[stack], truth) << "stack " << stack;
        all += truth;
    }
    EXPECT_EQ(account.releases, all - left);
    EXPECT_EQ(header->heap_events_lost, 0u);
}

TEST_F(HeapThreads, recycle_lanes) {
    start(64);
    Collector collector(header);
    constexpr uint32_t kThreads = 8, kLanesEach = 1250;
    std::atomic<uint64_t> most_number = 0;
    std::vector<std::thread> threads;
    for (uint32_t thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&, thread] {
            for (uint32_t i = 0; i < kLanesEach; ++i) {
                HeapLane lane = {};
                const uint32_t id = thread * kLanesEach + i + 1;
                ASSERT_TRUE(open_lane(channel, lane, id));
                uint64_t most = most_number;
                while (lane.number > most && !most_number.compare_exchange_weak(most, lane.number)) {
                }
                // Blocks of its own; told by close_lane, or right now.
                const uint64_t address = uint64_t{id} << 12;
                note_allocation(channel, lane, address, address + 1, 1);
                if (i % 2 == 0) note_allocation(channel, lane, address + 16, address + 16 + 2, 2);
                if (i % 4 == 0) note_release(channel, lane, address);
                close_lane(channel, lane);
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_LT(most_number, kThreads);
    EXPECT_LE(header->lanes_used, kThreads);
    uint64_t mistakes = 0;
    const test::HeapAccount account = collector.stop().account(&mistakes);
    EXPECT_EQ(mistakes, 0u);
    const uint64_t opened = kThreads * kLanesEach;
    EXPECT_EQ(account.allocations.at(1), opened);
    EXPECT_EQ(account.allocations.at(2), opened / 2);
    EXPECT_EQ(account.live.size(), opened + opened / 2 - account.releases);
    EXPECT_EQ(account.releases, kThreads * ((kLanesEach + 3) / 4));
    EXPECT_EQ(header->heap_events_lost, 0u);
    for (uint32_t lane = 0; lane < header->lanes_used; ++lane) {
        EXPECT_EQ(wire::lane_at(header, lane)->in_use, 0u);
        for (uint32_t i = 0; i < wire::kWindowEvents; ++i)
            EXPECT_EQ(wire::window_of(header, lane)[i].address, 0u);
        for (uint32_t i = 0; i < wire::kTemporariesEntries; ++i)
            EXPECT_EQ(wire::temporaries_of(header, lane)[i].count, 0u);
    }
    // Each lane was given back as often as it was opened, and taken from there but for the first time.
    EXPECT_EQ(header->lanes_free >> 32, 2 * opened - header->lanes_used) << "no change goes unseen";
}

TEST_F(HeapThreads, wait_for_a_slow_collector_and_lose_nothing) {
    start(16);
    Collector collector(header);
    constexpr uint32_t kThreads = 4;
    std::vector<std::thread> threads;
    for (uint32_t thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([this, thread] {
            HeapLane lane = {};
            ASSERT_TRUE(open_lane(channel, lane, thread + 1));
            for (uint64_t i = 0; i < kCalls; ++i)
                publish(channel, lane, HeapEventKind::kTemporaries, 0, 1, thread, 1);
            close_lane(channel, lane);
        });
    }
    for (std::thread& thread : threads) thread.join();
    uint64_t mistakes = 0;
    const test::HeapAccount account = collector.stop().account(&mistakes);
    for (uint32_t thread = 0; thread < kThreads; ++thread) EXPECT_EQ(account.allocations.at(thread), kCalls);
    EXPECT_EQ(header->heap_events_lost, 0u);
    EXPECT_EQ(header->degraded, 0u);
}

TEST_F(HeapThreads, share_a_pool_that_nobody_reads) {
    start(16);
    std::vector<std::thread> threads;
    for (uint32_t thread = 0; thread < 4; ++thread) {
        threads.emplace_back([this, thread] {
            HeapLane lane = {};
            ASSERT_TRUE(open_lane(channel, lane, thread + 1));
            for (uint64_t i = 0; i < 5'000; ++i)
                publish(channel, lane, HeapEventKind::kTemporaries, 0, 1, thread, 1);
            close_lane(channel, lane);
        });
    }
    for (std::thread& thread : threads) thread.join();
    test::LaneLedger ledger(header);
    ledger.read(false);
    uint64_t mistakes = 0, told = 0;
    for (const auto& [stack, count] : ledger.account(&mistakes).allocations) told += count;
    EXPECT_EQ(told + header->heap_events_lost, 4u * 5'000u) << "what was lost is counted";
    EXPECT_EQ(wire::unpack_heap_control(header->heap_control).epoch, 2u) << "switched once";
    EXPECT_EQ(wire::take_chunk(header), wire::kNoChunk);
}

TEST_F(HeapThreads, take_each_sampled_address_once) {
    forget_sampled();
    constexpr uint32_t kThreads = 4;
    constexpr uint64_t kRounds = 20, kAddresses = 3'000;
    for (uint64_t round = 0; round < kRounds; ++round) {
        std::atomic<uint64_t> added = 0, taken = 0;
        std::vector<std::thread> threads;
        for (uint32_t thread = 0; thread < kThreads; ++thread) {
            threads.emplace_back([&, thread] {
                // A part of its own to add, and all to take.
                for (uint64_t i = thread; i < kAddresses; i += kThreads)
                    added += add_sampled(0x1000 + i * 16);
                for (uint64_t i = 0; i < kAddresses; ++i) taken += take_sampled(0x1000 + i * 16);
            });
        }
        for (std::thread& thread : threads) thread.join();
        for (uint64_t i = 0; i < kAddresses; ++i) taken += take_sampled(0x1000 + i * 16);
        EXPECT_EQ(added, kAddresses);
        EXPECT_EQ(taken, kAddresses);
    }
    EXPECT_EQ(std::count(std::begin(sampled_filter), std::end(sampled_filter), 0), 1 << kFilterBits);
}

}  // namespace
}  // namespace offheap::record
