#include "native/addon/heap_pages.h"

#include <gtest/gtest.h>

#include <map>

namespace offheap::addon {
namespace {

using wire::HeapEvent;
using wire::HeapEventKind;

constexpr uint64_t kPage = 0x7f00'0000'0000;
constexpr AddressRange kAll = {0, LiveBlocks::kAddressLimit};

HeapEvent block_at(uint64_t address, uint64_t bytes, uint32_t stack, uint32_t sampled_every = 0) {
    return {wire::heap_word(HeapEventKind::kAllocation, address), 10, bytes, stack, sampled_every};
}

TEST(HeapPages, GivesEachBlockItsAddress) {
    LiveBlocks live;
    std::map<uint64_t, uint64_t> expected;
    uint64_t address = 8;
    for (uint64_t bytes = 1; bytes <= 20'000; ++bytes) {
        address =
            (address * 6364136223846793005ULL + 1442695040888963407ULL) % LiveBlocks::kAddressLimit & ~7ULL;
        if (address == 0 || !live.put(address, {bytes, 0, 0})) continue;
        expected[address] = bytes;
    }
    std::map<uint64_t, uint64_t> found;
    live.for_each_at([&](uint64_t at, const LiveBlock& block) { found[at] = block.bytes; });
    EXPECT_EQ(found, expected);
}

TEST(HeapPages, APageIsPinnedByWhoHoldsNearlyAllThatLivesThere) {
    HeapLedger ledger({0, 0, 100});
    for (const HeapEvent& event : {
             block_at(kPage, 100, 1), block_at(kPage + 2048, 100, 1),         // alone
             block_at(kPage + 4096, 900, 2), block_at(kPage + 6000, 90, 1),   // nearly alone
             block_at(kPage + 8192, 500, 1), block_at(kPage + 9000, 500, 2),  // two
             block_at(kPage + 12288, 64, 3),                                  // not in memory
         }) {
        ledger.apply(0, event);
    }
    const PageUse use = page_use(ledger, {}, kAll);
    ASSERT_EQ(partial_pages(use).size(), 4u);
    const HeapPins found = find_pins(use, {true, true, true, false});
    ASSERT_EQ(found.pins.size(), 2u);
    EXPECT_EQ(found.pins[0].stack, 1u);
    EXPECT_EQ(found.pins[0].pages, 1u);
    EXPECT_EQ(found.pins[0].live_bytes, 200u);
    EXPECT_EQ(found.pins[0].free_bytes, 3896u);
    EXPECT_EQ(found.pins[1].stack, 2u);
    EXPECT_EQ(found.pins[1].live_bytes, 990u);
    EXPECT_EQ(found.shared.pages, 1u);
    EXPECT_EQ(found.shared.free_bytes, 3096u);
}

TEST(HeapPages, ALargeBlockPinsItsEdges) {
    HeapLedger ledger({0, 0, 100});
    ledger.apply(0, block_at(kPage + 4000, 10'000, 7));
    const PageUse use = page_use(ledger, {}, kAll);
    ASSERT_EQ(use.pieces.size(), 2u);
    EXPECT_EQ(use.pieces[0].bytes, 96u);
    EXPECT_EQ(use.pieces[1].bytes, 4000u + 10'000u - 3 * 4096u);
    ASSERT_EQ(use.covered.size(), 1u);
    EXPECT_EQ(use.covered[0].first, kPage / 4096 + 1);
    EXPECT_EQ(use.covered[0].end, kPage / 4096 + 3);
}

TEST(HeapPages, RestingBlocksCountAndSampledOnesDoNot) {
    HeapLedger ledger({0, 0, 100});
    ledger.apply(0, block_at(kPage, 100, 1, 4096));
    const PageUse use = page_use(ledger, {{kPage + 4096, 20, 100, 5, 1}}, kAll);
    ASSERT_EQ(use.pieces.size(), 1u);
    EXPECT_EQ(use.pieces[0].stack, 5u);
}

TEST(HeapPages, OnlyTheRangeThatIsAskedFor) {
    HeapLedger ledger({0, 0, 100});
    ledger.apply(0, block_at(kPage, 100 * 4096, 1));
    const PageUse use = page_use(ledger, {}, {kPage + 8192, kPage + 16384});
    ASSERT_EQ(use.covered.size(), 1u);
    EXPECT_EQ(use.covered[0].end - use.covered[0].first, 2u);
    EXPECT_TRUE(use.pieces.empty());
}

}  // namespace
}  // namespace offheap::addon
