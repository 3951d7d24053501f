// The ranges of executable code against a plain list, and readers against a writer.
#include "preload/hook/executable_ranges.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace offheap::hook {
namespace {

class NaiveRanges {
  public:
    bool overlaps(uint64_t start, uint64_t end) const {
        for (const auto& [from, to] : ranges_) {
            if (from < end && start < to) return true;
        }
        return false;
    }
    bool add(uint64_t start, uint64_t end) {
        if (overlaps(start, end)) return false;
        ranges_.emplace_back(start, end);
        return true;
    }
    bool remove(uint64_t start, uint64_t end) {
        return std::erase_if(
                   ranges_, [=](const auto& range) { return range.first < end && start < range.second; }) > 0;
    }

  private:
    std::vector<std::pair<uint64_t, uint64_t>> ranges_;
};

TEST(ExecutableRanges, touch_without_overlapping) {
    auto ranges = std::make_unique<ExecutableRanges>();
    EXPECT_TRUE(ranges->add(0x1000, 0x2000));
    EXPECT_TRUE(ranges->add(0x3000, 0x4000));
    EXPECT_FALSE(ranges->overlaps(0x2000, 0x3000));
    EXPECT_TRUE(ranges->add(0x2000, 0x3000));
    EXPECT_TRUE(ranges->overlaps(0x1fff, 0x2000));
    EXPECT_FALSE(ranges->overlaps(0x4000, 0x5000));
    EXPECT_FALSE(ranges->overlaps(0, 0x1000));
}

TEST(ExecutableRanges, agree_with_a_list) {
    auto ranges = std::make_unique<ExecutableRanges>();
    NaiveRanges naive;
    std::mt19937_64 random(3);
    for (int step = 0; step < 30'000; ++step) {
        const uint64_t start = random() % 400;
        const uint64_t end = start + 1 + random() % 12;
        switch (random() % 3) {
            case 0:
                ASSERT_EQ(ranges->add(start, end), naive.add(start, end)) << "step " << step;
                break;
            case 1:
                ASSERT_EQ(ranges->remove(start, end), naive.remove(start, end)) << "step " << step;
                break;
            default:
                ASSERT_EQ(ranges->overlaps(start, end), naive.overlaps(start, end)) << "step " << step;
        }
    }
}

TEST(ExecutableRanges, refuse_more_than_they_hold) {
    auto ranges = std::make_unique<ExecutableRanges>();
    uint64_t held = 0;
    while (ranges->add(held * 2, held * 2 + 1)) ++held;
    EXPECT_EQ(held, 2048u);
    EXPECT_TRUE(ranges->overlaps(0, 1));
    EXPECT_TRUE(ranges->remove(0, 1));
    EXPECT_TRUE(ranges->add(held * 2, held * 2 + 1));
}

// One range stays put while others come and go around it: no reader may ever miss it.
TEST(ExecutableRanges, keep_readers_from_missing_a_range) {
    auto ranges = std::make_unique<ExecutableRanges>();
    ASSERT_TRUE(ranges->add(10'000, 10'100));
    std::atomic<bool> done = false;
    std::atomic<uint64_t> missed = 0;
    std::vector<std::thread> readers;
    for (int reader = 0; reader < 2; ++reader) {
        readers.emplace_back([&] {
            while (!done) {
                if (!ranges->overlaps(10'050, 10'051)) ++missed;
            }
        });
    }
    std::mt19937_64 random(5);
    for (int step = 0; step < 20'000; ++step) {
        const uint64_t start = random() % 100 * 200;
        if (start == 10'000) continue;
        if (random() % 2 == 0) {
            ranges->add(start, start + 100);
        } else {
            ranges->remove(start, start + 100);
        }
    }
    done = true;
    for (std::thread& reader : readers) reader.join();
    EXPECT_EQ(missed, 0u);
}

TEST(ExecutableRanges, stay_whole_under_several_writers) {
    auto ranges = std::make_unique<ExecutableRanges>();
    constexpr uint64_t kWriters = 3;
    std::vector<std::thread> writers;
    for (uint64_t writer = 0; writer < kWriters; ++writer) {
        writers.emplace_back([&ranges, writer] {
            for (uint64_t i = 0; i < 3'000; ++i) {
                const uint64_t start = (writer * 1'000 + i % 500) * 16;
                while (!ranges->add(start, start + 8)) {  // another writer is at work
                }
                while (!ranges->remove(start, start + 8)) {
                }
            }
        });
    }
    for (std::thread& writer : writers) writer.join();
    EXPECT_FALSE(ranges->overlaps(0, ~0ULL));
    EXPECT_TRUE(ranges->add(0, 1)) << "no write was left open";
}

}  // namespace
}  // namespace offheap::hook
