#include "preload/python/readable_pages.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <memory>

namespace offheap::python {
namespace {

constexpr uint64_t kPageBytes = 4096;

// Pages of one set, one more than it has places.
class PagesOfASet : public testing::Test {
  protected:
    static constexpr uint64_t kApart = ReadablePages::kSets * kPageBytes;
    static constexpr uint64_t kBytes = ReadablePages::kPlaces * kApart + kPageBytes;

    PagesOfASet()
        : region_(static_cast<char*>(
              mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
        for (uint64_t i = 0; i <= ReadablePages::kPlaces; ++i)
            mprotect(region_ + i * kApart, kPageBytes, PROT_READ);
    }
    ~PagesOfASet() override { munmap(region_, kBytes); }

    uint64_t page(uint64_t number) const { return reinterpret_cast<uint64_t>(region_) + number * kApart; }

    char* const region_;
    const std::unique_ptr<ReadablePages> pages_ = std::make_unique<ReadablePages>();
};

TEST_F(PagesOfASet, KeepTheEpochWhileThereIsRoomForAll) {
    const uint32_t epoch = pages_->epoch();
    for (uint64_t i = 0; i < ReadablePages::kPlaces; ++i) EXPECT_TRUE(pages_->contains(page(i), 8));
    EXPECT_FALSE(pages_->contains(page(0) + kPageBytes, 8));
    EXPECT_FALSE(pages_->contains(page(1) + kPageBytes - 4, 8));
    EXPECT_EQ(pages_->epoch(), epoch);
}

TEST_F(PagesOfASet, AreAskedForOnce) {
    for (uint64_t i = 0; i < ReadablePages::kPlaces; ++i) EXPECT_TRUE(pages_->contains(page(i), 8));
    // Nobody told of this.
    mprotect(region_, kBytes, PROT_NONE);
    for (uint64_t i = 0; i < ReadablePages::kPlaces; ++i) EXPECT_TRUE(pages_->contains(page(i), 8));
}

TEST_F(PagesOfASet, RaiseTheEpochWhenOneIsReleased) {
    for (uint64_t i = 0; i < ReadablePages::kPlaces; ++i) EXPECT_TRUE(pages_->contains(page(i), 8));
    for (uint64_t i = 0; i < ReadablePages::kPlaces; ++i) {
        const uint32_t epoch = pages_->epoch();
        mprotect(region_ + i * kApart, kPageBytes, PROT_NONE);
        pages_->forget(page(i), page(i) + kPageBytes);
        EXPECT_NE(pages_->epoch(), epoch);
        EXPECT_FALSE(pages_->contains(page(i), 8));
    }
}

TEST_F(PagesOfASet, RaiseTheEpochWhenOneTakesAnothersPlace) {
    for (uint64_t i = 0; i < ReadablePages::kPlaces; ++i) EXPECT_TRUE(pages_->contains(page(i), 8));
    const uint32_t epoch = pages_->epoch();
    EXPECT_TRUE(pages_->contains(page(ReadablePages::kPlaces), 8));
    EXPECT_NE(pages_->epoch(), epoch);
}

TEST_F(PagesOfASet, AreForgottenInOneGo) {
    for (uint64_t i = 0; i < ReadablePages::kPlaces; ++i) EXPECT_TRUE(pages_->contains(page(i), 8));
    mprotect(region_, kBytes, PROT_NONE);
    pages_->forget(page(0), page(ReadablePages::kPlaces));
    for (uint64_t i = 0; i < ReadablePages::kPlaces; ++i) EXPECT_FALSE(pages_->contains(page(i), 8));
}

}  // namespace
}  // namespace offheap::python
