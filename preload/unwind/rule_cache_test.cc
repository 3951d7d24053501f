#include "preload/unwind/rule_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace offheap::unwind {
namespace {

// A rule that only this frame has, so that a mixed-up entry shows.
Rule rule_for(uint64_t frame) { return Rule((frame << 8) | static_cast<uint64_t>(RuleKind::from_rsp)); }

class RuleCacheTest : public testing::Test {
  protected:
    std::unique_ptr<RuleCache> cache_ = std::make_unique<RuleCache>();
    uint64_t epoch_ = cache_->epoch();

    RuleKind kind(uint64_t frame) { return cache_->find(frame, cache_->epoch()).kind(); }
};

TEST_F(RuleCacheTest, finds_what_was_inserted_and_nothing_else) {
    EXPECT_EQ(kind(0), RuleKind::none);
    EXPECT_EQ(kind(0x401000), RuleKind::none);
    cache_->insert(0x401000, epoch_, rule_for(0x401000));
    EXPECT_EQ(cache_->find(0x401000, epoch_).bits(), rule_for(0x401000).bits());
    EXPECT_EQ(kind(0x401001), RuleKind::none);
    EXPECT_EQ(kind(0x401000 | uint64_t{1} << 56), RuleKind::none) << "an exact frame has a rule of its own";
}

TEST_F(RuleCacheTest, keeps_four_frames_that_share_a_set) {
    // Same low bits, and zero in the bits that the set is folded from.
    const auto frame = [](uint64_t i) { return (i << 30) | 0x10; };
    for (uint64_t i = 1; i <= 4; ++i) cache_->insert(frame(i), epoch_, rule_for(frame(i)));
    for (uint64_t i = 1; i <= 4; ++i)
        EXPECT_EQ(cache_->find(frame(i), epoch_).bits(), rule_for(frame(i)).bits());
    cache_->insert(frame(5), epoch_, rule_for(frame(5)));
    EXPECT_EQ(kind(frame(1)), RuleKind::none) << "the oldest goes";
    EXPECT_EQ(kind(frame(5)), RuleKind::from_rsp);
}

TEST_F(RuleCacheTest, forgets_all_when_invalidated) {
    cache_->insert(0x401000, epoch_, rule_for(0x401000));
    cache_->invalidate();
    EXPECT_EQ(kind(0x401000), RuleKind::none);
    // A thread that compiled its rule before the unload and stores it after.
    cache_->insert(0x402000, epoch_, rule_for(0x402000));
    EXPECT_EQ(kind(0x402000), RuleKind::none);
}

TEST_F(RuleCacheTest, never_mixes_entries_of_concurrent_writers) {
    constexpr uint64_t kFrames = 12;  // three times what the set holds
    std::vector<std::thread> threads;
    std::atomic<uint64_t> mixed{0};
    std::atomic<uint64_t> found{0};
    for (uint64_t thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&, thread] {
            uint64_t my_mixed = 0;
            uint64_t my_found = 0;
            for (uint64_t i = 0; i < 5'000'000; ++i) {
                const auto frame = [](uint64_t n) { return (n % kFrames << 30) | 0x10; };
                // Written without asking: entries move through the ways while other threads read them.
                if (thread % 2 == 0)
                    cache_->insert(frame(i * 7 + thread), epoch_, rule_for(frame(i * 7 + thread)));
                const Rule rule = cache_->find(frame(i), epoch_);
                if (rule.kind() == RuleKind::none) continue;
                ++my_found;
                if (rule.bits() != rule_for(frame(i)).bits()) ++my_mixed;
            }
            mixed += my_mixed;
            found += my_found;
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(mixed, 0u);
    EXPECT_GT(found, 0u);
}

}  // namespace
}  // namespace offheap::unwind
