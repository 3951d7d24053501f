#include "native/addon/heap_windows.h"

#include <gtest/gtest.h>

#include <string>

#include "native/addon/heap_overlay.h"
#include "native/addon/stress/heap_writer.h"
#include "test/native/private_folder.h"

namespace offheap::addon {
namespace {

using stress::HeapLaneWriter;
using wire::HeapEventKind;

// Plays what the target's threads do between the reading of their windows and that of their lanes.
class HeapWindowsTest : public testing::Test {
  protected:
    void SetUp() override {
        const std::string path = folder_.path() + "/channel";
        header_ = stress::create_heap_channel(path.c_str(), {});
        ASSERT_NE(header_, nullptr);
        ASSERT_FALSE(file_.open(path));
        ASSERT_TRUE(page_.map(file_.descriptor()));
    }
    void TearDown() override { stress::remove_heap_channel(header_); }

    void read_windows(uint64_t now) {
        std::vector<wire::Lane> lanes;
        ASSERT_FALSE(reader_.read_lanes(header_->lanes_used, lanes));
        ASSERT_FALSE(windows_.read(file_, lanes, now, /*every=*/false));
    }
    void read_lanes() {
        std::vector<wire::Lane> lanes;
        ASSERT_FALSE(reader_.read_lanes(header_->lanes_used, lanes));
        ledger_.set_watch(&windows_);
        ASSERT_FALSE(reader_.read(UINT64_MAX, lanes, ledger_));
        ledger_.set_watch(nullptr);
        windows_.leave_out_published();
    }

    test::PrivateFolder folder_;
    wire::Header* header_ = nullptr;
    ChannelFile file_;
    GuardedPage page_;
    HeapReader reader_{file_, page_};
    HeapLedger ledger_{{0, 0, 100}};
    HeapWindows windows_;
};

TEST_F(HeapWindowsTest, FindsWhatRestsInTheOrderOfAddressesAndTimes) {
    HeapLaneWriter first(header_, 0, 10), second(header_, 1, 11);
    first.rest(0, 0x2000, 5, 64, 1);
    first.rest(255, 0x1000, 7, 32, 2);
    first.clear(7);
    second.rest(3, 0x1000, 6, 16, 3);
    read_windows(100);
    ASSERT_EQ(windows_.blocks().size(), 3U);
    EXPECT_EQ(windows_.blocks()[0].time, 6U);
    EXPECT_EQ(windows_.blocks()[0].thread_id, 11U);
    EXPECT_EQ(windows_.blocks()[1].time, 7U);
    EXPECT_EQ(windows_.blocks()[2].bytes, 64U);
}

TEST_F(HeapWindowsTest, LeavesOutWhatIsPublishedMeanwhile) {
    HeapLaneWriter lane(header_, 0, 10);
    lane.rest(0, 0x1000, 5, 64, 1);
    lane.rest(1, 0x2000, 6, 64, 1);
    read_windows(100);
    lane.put(lane.resting(0));
    lane.clear(0);
    // Freed by another thread at once: the ledger has forgotten it when it is asked.
    lane.publish(HeapEventKind::kRelease, 0x1000, 101);
    read_lanes();
    ASSERT_EQ(windows_.blocks().size(), 1U);
    EXPECT_EQ(windows_.blocks()[0].address, 0x2000U);
    EXPECT_EQ(ledger_.live().size(), 0U);
}

TEST_F(HeapWindowsTest, CountsTemporariesOnceWhoeverIsFirst) {
    HeapLaneWriter lane(header_, 0, 10);
    lane.publish(HeapEventKind::kTemporaries, 0, 50, 640, 1, 10);  // before: the entry began anew since
    lane.count_temporaries(0, 1, 2, 128);
    lane.count_temporaries(1, 2, 3, 192);
    read_windows(100);
    lane.publish(HeapEventKind::kTemporaries, 0, 99, 256, 2, 4);
    lane.count_temporaries(1, 0, 0, 0);
    read_lanes();
    ASSERT_EQ(windows_.temporaries().size(), 1U);
    EXPECT_EQ(windows_.temporaries()[0].stack, 1U);
    EXPECT_EQ(windows_.temporaries()[0].count, 2U);
    double temporary = 0;
    for (const HeapDelta& delta : overlay(ledger_, windows_)) temporary += delta.counts.temporary;
    EXPECT_EQ(temporary, 2);
}

TEST_F(HeapWindowsTest, OverlaysWhatIsFreedAlready) {
    HeapLaneWriter lane(header_, 0, 10), other(header_, 1, 11);
    lane.rest(0, 0x1000, 5, 64, 1);
    other.publish(HeapEventKind::kRelease, 0x1000, 8);
    other.publish(HeapEventKind::kRelease, 0x3000, 9);  // unknown
    read_windows(100);
    read_lanes();
    ledger_.drop_unknown(windows_.time(), windows_.blocks());
    EXPECT_EQ(ledger_.unknown_frees(), 1U);
    EXPECT_EQ(ledger_.owed(), 1U) << "to the block in the window";
    const std::vector<HeapDelta> deltas = overlay(ledger_, windows_);
    ASSERT_EQ(deltas.size(), 1U);
    EXPECT_EQ(deltas[0].counts.live_allocations, 0);
    EXPECT_EQ(deltas[0].counts.frees, 1);
    settle_windows(ledger_, windows_);
    EXPECT_EQ(ledger_.owed(), 0U);
    EXPECT_EQ(ledger_.live().size(), 0U);
}

}  // namespace
}  // namespace offheap::addon
