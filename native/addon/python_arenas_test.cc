#include "native/addon/python_arenas.h"

#include <gtest/gtest.h>
#include <string.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <vector>

namespace offheap::addon {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kBase = 0x7f00'0000'0000ULL;

struct Header {
    uint32_t count;
    uint32_t padding;
    uint64_t first_free, next, previous;
    uint32_t arena, size_class, next_offset, last_offset;
};
static_assert(sizeof(Header) == 48);

// Hand-made arenas; pages are resident from their first write on.
class FakeArenas final : public TargetMemory {
  public:
    explicit FakeArenas(size_t bytes) : bytes_(bytes), resident_(bytes / kPage) {}

    // Called before each reading of `pages` pages.
    std::function<void(size_t pages)> before_reading = [](size_t) {};

    std::vector<AddressRange> all() const { return {{kBase, kBase + bytes_.size()}}; }
    void put(uint64_t offset, const void* from, size_t bytes) {
        memcpy(bytes_.data() + offset, from, bytes);
        resident_[offset / kPage] = 1;
    }
    void touch(uint64_t offset) { resident_[offset / kPage] = 1; }
    void pool(uint64_t offset, uint64_t pool_bytes, uint32_t size_class, uint32_t count,
              uint32_t handed_out) {
        const uint32_t each = (size_class + 1) * 16;
        const Header header = {count,
                               0xdddddddd,
                               0,
                               0,
                               0,
                               7,
                               size_class,
                               48 + handed_out * each,
                               static_cast<uint32_t>(pool_bytes) - each};
        put(offset, &header, sizeof header);
        for (uint64_t at = 0; at < header.next_offset && at < pool_bytes; at += kPage) touch(offset + at);
    }

    bool read(uint64_t address, void* into, size_t bytes) override {
        memcpy(into, bytes_.data() + (address - kBase), bytes);
        return true;
    }
    void read_resident(uint64_t, uint8_t*, size_t) override { FAIL(); }
    void read_page_starts(uint64_t address, size_t count, size_t stride_pages, uint8_t* into,
                          size_t bytes_each) override {
        before_reading(count);
        memset(into, 0, count * bytes_each);
        for (size_t i = 0; i < count; ++i) {
            const uint64_t page = address + i * stride_pages * kPage;
            if (resident_[(page - kBase) / kPage] != 0) read(page, into + i * bytes_each, bytes_each);
        }
    }
    void find_resident(uint64_t address, size_t pages, uint8_t* is_resident) override {
        memcpy(is_resident, resident_.data() + (address - kBase) / kPage, pages);
    }
    uint64_t resident_bytes() const { return std::count(resident_.begin(), resident_.end(), 1) * kPage; }

  private:
    std::vector<uint8_t> bytes_;
    std::vector<uint8_t> resident_;
};

uint64_t all(const PythonFigures& figures) {
    return figures.live + figures.retained + figures.slack + figures.metadata + figures.frames +
           figures.unread;
}

class PythonArenas : public ::testing::TestWithParam<uint64_t> {};

TEST_P(PythonArenas, ArePoolsInUseEmptiedAndNeverUsed) {
    const uint64_t pool = GetParam();
    FakeArenas memory(1 << 20);
    memory.pool(0, pool, 3, 10, 20);        // 10 of 64 bytes, 10 more were freed
    memory.pool(pool, pool, 31, 7, 7);      // seven of 512, all that a small pool holds
    memory.pool(2 * pool, pool, 0, 0, 60);  // emptied
    memory.touch(3 * pool);                 // never used, though in memory
    const PythonFigures figures = read_python_arenas(memory, memory.all());
    EXPECT_EQ(figures.pool_bytes, pool);
    EXPECT_EQ(figures.pools_in_use, 2U);
    EXPECT_EQ(figures.blocks, 17U);
    EXPECT_EQ(figures.block_bytes, 10 * 64U + 7 * 512U);
    EXPECT_EQ(figures.live, figures.block_bytes);
    EXPECT_EQ(figures.metadata, 2 * 48U);
    EXPECT_EQ(figures.retained, 2 * kPage);
    EXPECT_EQ(figures.unread, 0U);
    EXPECT_EQ(all(figures), memory.resident_bytes());
}

TEST(PythonPools, PagesThatNeverHeldABlockAreRetained) {
    FakeArenas memory(1 << 20);
    memory.pool(0, 16 << 10, 3, 10, 10);
    memory.touch(2 * kPage);
    const PythonFigures figures = read_python_arenas(memory, memory.all());
    EXPECT_EQ(figures.retained, kPage);
    EXPECT_EQ(all(figures), 2 * kPage);
}

TEST_P(PythonArenas, AHeaderThatWasBeingWrittenIsReadAgain) {
    const uint64_t pool = GetParam();
    FakeArenas memory(1 << 20);
    memory.pool(0, pool, 3, 10, 20);
    Header torn = {5, 0, 0, 0, 0, 7, 8, 48 + 20 * 64, static_cast<uint32_t>(pool) - 64};
    memory.put(pool, &torn, sizeof torn);
    int readings = 0;
    memory.before_reading = [&](size_t pages) {
        if (pages == 1 && ++readings == 1) memory.pool(pool, pool, 8, 5, 6);
    };
    EXPECT_EQ(read_python_arenas(memory, memory.all()).blocks, 15U);
    EXPECT_EQ(readings, 1);
}

TEST_P(PythonArenas, WhatNeverFitsTogetherIsUnread) {
    const uint64_t pool = GetParam();
    FakeArenas memory(1 << 20);
    memory.pool(0, pool, 3, 10, 20);
    const uint32_t last = static_cast<uint32_t>(pool) - 64;
    const Header unsound[] = {
        {10, 0, 0, 0, 0, 7, 32, 48 + 20 * 64, last},                     // no such size
        {10, 0, 0, 0, 0, 7, 3, 48 + 20 * 64, last - 16},                 // the end of another one
        {10, 0, 0, 0, 0, 7, 3, 48 + 20 * 64 + 8, last},                  // within a block
        {21, 0, 0, 0, 0, 7, 3, 48 + 20 * 64, last},                      // more than were handed out
        {10, 0, 0, 0, 0, 7, 3, static_cast<uint32_t>(pool) + 64, last},  // behind the end
        {10, 0, kBase - 8, 0, 0, 7, 3, 48 + 20 * 64, last},              // its free blocks are elsewhere
    };
    uint64_t at = pool;
    for (const Header& header : unsound) {
        memory.put(at, &header, sizeof header);
        at += pool;
    }
    const PythonFigures figures = read_python_arenas(memory, memory.all());
    EXPECT_EQ(figures.blocks, 10U);
    EXPECT_EQ(figures.unread, std::size(unsound) * kPage);
    EXPECT_EQ(all(figures), memory.resident_bytes());
}

INSTANTIATE_TEST_SUITE_P(OfBothSizes, PythonArenas, ::testing::Values(4 << 10, 16 << 10));

TEST(PythonStacks, AreToldByTheirLength) {
    FakeArenas memory(1 << 20);
    const uint64_t chunk[] = {0, 16 << 10, 100};
    memory.put(0, chunk, sizeof chunk);
    memory.touch(kPage);
    const std::vector<AddressRange> ranges = {{kBase, kBase + (16 << 10)}};
    EXPECT_EQ(read_python_arenas(memory, ranges).frames, 2 * kPage);
    const std::vector<AddressRange> longer = {{kBase, kBase + (32 << 10)}};
    EXPECT_EQ(read_python_arenas(memory, longer).frames, 0U);
}

}  // namespace
}  // namespace offheap::addon
