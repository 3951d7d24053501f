#include "native/addon/heap_asked.h"

#include <gtest/gtest.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

namespace offheap::addon {
namespace {

using wire::HeapEvent;
using wire::HeapEventKind;

constexpr uint64_t kPage = 4096;

// Pages of this process, of which the first `touched` are in memory.
class Memory {
  public:
    Memory(size_t pages, size_t touched) : bytes_(pages * kPage) {
        start_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        madvise(start_, bytes_, MADV_NOHUGEPAGE);
        memset(start_, 1, touched * kPage);
    }
    ~Memory() { munmap(start_, bytes_); }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;

    uint64_t at(uint64_t offset) const { return reinterpret_cast<uint64_t>(start_) + offset; }
    AddressRange range() const { return {at(0), at(bytes_)}; }

  private:
    size_t bytes_;
    void* start_;
};

HeapEvent block_at(uint64_t address, uint64_t bytes, uint32_t sampled_every = 0) {
    return {wire::heap_word(HeapEventKind::kAllocation, address), 10, bytes, 1, sampled_every};
}

HeapDelta resting_at(uint64_t address, uint64_t bytes) {
    HeapDelta delta;
    delta.counts.live_allocations = 1;
    delta.address = address;
    delta.bytes = bytes;
    return delta;
}

AskedSums sums_of(const HeapLedger& ledger, const std::vector<HeapDelta>& overlay,
                  const std::vector<AddressRange>& ranges, const std::vector<uint64_t>& classes) {
    PageMap page_map(getpid());
    return asked_in(LedgerAskedBlocks(ledger, overlay), ranges, classes, page_map);
}

const std::vector<uint64_t> kClasses = {8, 16, 32, 48, 64, 5000, 8192, 20480, 65536};

TEST(HeapAsked, CountsTheBlocksOfItsRangesAgainstTheirClasses) {
    const Memory memory(8, 8), other(8, 8);
    HeapLedger ledger({0, 0, 100});
    for (const HeapEvent& event :
         {block_at(memory.at(0), 25), block_at(memory.at(64), 32), block_at(memory.at(128), 0),
          block_at(memory.at(2 * kPage), 4999), block_at(memory.at(4 * kPage), 70'000),
          block_at(other.at(0), 1), block_at(memory.range().end, 9)}) {
        ledger.apply(0, event);
    }
    const AskedSums sums = sums_of(ledger, {}, {memory.range()}, kClasses);
    EXPECT_EQ(sums.blocks, 5);
    EXPECT_EQ(sums.bytes, 25 + 32 + 0 + 4999 + 70'000);
    EXPECT_EQ(sums.slack_bytes, 7 + 0 + 8 + 1);
    EXPECT_EQ(sums.slack_resident_bytes, sums.slack_bytes);
    EXPECT_EQ(sums.unclassed_bytes, 70'000);
    // The first page, two of the next block, and the last one's up to the range's end.
    EXPECT_EQ(sums.resident_bytes, (1 + 2 + 4) * kPage);
}

TEST(HeapAsked, EachSizeHasTheSmallestClassThatHoldsIt) {
    std::vector<uint64_t> classes;
    for (uint64_t bytes = 8; bytes < 1 << 20; bytes += bytes / 5 + 3) classes.push_back(bytes);
    const Memory memory(1, 1);
    for (uint64_t bytes = 0; bytes < 20'000; bytes += bytes < 9000 ? 1 : 77) {
        HeapLedger ledger({0, 0, 100});
        ledger.apply(0, block_at(memory.at(0), bytes));
        const auto size = std::lower_bound(classes.begin(), classes.end(), bytes);
        EXPECT_EQ(sums_of(ledger, {}, {memory.range()}, classes).slack_bytes, *size - bytes) << bytes;
    }
}

TEST(HeapAsked, SlackOnPagesThatWereNeverTouchedIsNotResident) {
    const Memory memory(16, 5);
    HeapLedger ledger({0, 0, 100});
    // To the middle of the fifth page; its class ends with the sixteenth.
    ledger.apply(0, block_at(memory.at(0), 4 * kPage + 100));
    const AskedSums sums = sums_of(ledger, {}, {memory.range()}, {16 * kPage});
    EXPECT_EQ(sums.slack_bytes, 12 * kPage - 100);
    EXPECT_EQ(sums.slack_resident_bytes, kPage - 100);
    EXPECT_EQ(sums.resident_bytes, 5 * kPage);
}

TEST(HeapAsked, SlackOnPagesThatWereTouchedBeforeIsResident) {
    const Memory memory(16, 16);
    HeapLedger ledger({0, 0, 100});
    ledger.apply(0, block_at(memory.at(0), 4 * kPage + 100));
    const AskedSums sums = sums_of(ledger, {}, {memory.range()}, {15 * kPage});
    EXPECT_EQ(sums.slack_resident_bytes, 11 * kPage - 100);
}

TEST(HeapAsked, ABlockOfManyPagesIsOnAsManyAsWereTouched) {
    const Memory memory(300, 200);
    HeapLedger ledger({0, 0, 100});
    for (const HeapEvent& event :
         {block_at(memory.at(3 * kPage), 180 * kPage), block_at(memory.at(190 * kPage), 100 * kPage)}) {
        ledger.apply(0, event);
    }
    EXPECT_EQ(sums_of(ledger, {}, {memory.range()}, {}).resident_bytes, (180 + 10) * kPage);
}

TEST(HeapAsked, WhatRestsInWindowsCountsInPlaceOfTheLedgers) {
    const Memory memory(4, 4);
    HeapLedger ledger({0, 0, 100});
    ledger.apply(0, block_at(memory.at(0), 100));
    ledger.apply(0, block_at(memory.at(256), 10));
    const std::vector<HeapDelta> overlay = {resting_at(memory.at(0), 30), resting_at(memory.at(kPage), 40)};
    const AskedSums sums = sums_of(ledger, overlay, {memory.range()}, kClasses);
    EXPECT_EQ(sums.blocks, 3);
    EXPECT_EQ(sums.bytes, 30 + 10 + 40);
    EXPECT_EQ(sums.slack_bytes, 2 + 6 + 8);
    const LedgerAskedBlocks blocks(ledger, overlay);
    AskedBlock block;
    EXPECT_TRUE(blocks.find(memory.at(0), block));
    EXPECT_EQ(block.bytes, 30u);
    EXPECT_FALSE(blocks.find(memory.at(8), block));
}

TEST(HeapAsked, ASampledBlockStandsForItsLike) {
    const Memory memory(4, 4);
    HeapLedger ledger({0, 0, 100});
    ledger.apply(0, block_at(memory.at(0), 25, 1 << 16));
    const AskedSums sums = sums_of(ledger, {}, {memory.range()}, kClasses);
    EXPECT_NEAR(sums.blocks, 65536.0 / 25, 1);
    EXPECT_NEAR(sums.slack_bytes, sums.blocks * 7, 1e-6);
}

TEST(HeapAsked, BlocksThatClaimTheSamePagesTimeAndAgainCostNoMore) {
    const Memory memory(4096, 0);
    const AddressRange wide = {memory.at(0), memory.at(0) + (1ULL << 41)};
    HeapLedger ledger({0, 0, 100});
    for (uint64_t i = 0; i < 20'000; ++i) ledger.apply(0, block_at(memory.at(8 * i), 1ULL << 46));
    EXPECT_EQ(sums_of(ledger, {}, {wide}, {}).blocks, 20'000);
    // More pages than can be looked at.
    EXPECT_FALSE(sums_of(ledger, {}, {{memory.at(0), memory.at(0) + (1ULL << 46)}}, {}).knows_pages);
}

}  // namespace
}  // namespace offheap::addon
