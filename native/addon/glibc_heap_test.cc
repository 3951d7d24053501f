#include "native/addon/glibc_heap.h"

#include <gtest/gtest.h>
#include <string.h>

#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <vector>

namespace offheap::addon {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kBase = 0x7f00'0000'0000ULL;
static_assert(kBase % (64 << 20) == 0);

// Hand-made memory. Before each reading it may change, as a running program's does.
class FakeMemory final : public TargetMemory {
  public:
    explicit FakeMemory(size_t bytes) : bytes_(bytes) {}

    std::function<void()> before_reading = [] {};
    int readings = 0;
    uint64_t bytes_read = 0;

    uint64_t end() const { return kBase + bytes_.size(); }
    void write(uint64_t address, uint64_t word) {
        memcpy(bytes_.data() + (address - kBase), &word, sizeof word);
    }
    std::vector<uint8_t>& bytes() { return bytes_; }

    bool read(uint64_t address, void* into, size_t bytes) override {
        if (address < kBase || address > end() || end() - address < bytes) return false;
        memcpy(into, bytes_.data() + (address - kBase), bytes);
        return true;
    }
    void read_resident(uint64_t address, uint8_t* into, size_t bytes) override {
        ++readings;
        bytes_read += bytes;
        before_reading();
        // A heap that says it is longer than what there is.
        memset(into, 0, bytes);
        ASSERT_GE(address, kBase);
        if (address < end()) read(address, into, std::min(bytes, end() - address));
    }
    void read_page_starts(uint64_t address, size_t count, size_t stride_pages, uint8_t* into,
                          size_t bytes_each) override {
        for (size_t i = 0; i < count; ++i) {
            ASSERT_TRUE(read(address + i * stride_pages * kPage, into + i * bytes_each, bytes_each));
        }
    }
    void find_resident(uint64_t address, size_t pages, uint8_t* is_resident) override {
        for (size_t page = 0; page < pages; ++page) is_resident[page] = address + page * kPage < resident_end;
    }
    uint64_t resident_end = UINT64_MAX;

  private:
    std::vector<uint8_t> bytes_;
};

// Lays chunks one behind the other, as malloc does.
class ChainMaker {
  public:
    ChainMaker(FakeMemory& memory, uint64_t first) : memory_(memory), at_(first) {}

    ChainMaker& used(uint64_t bytes) { return chunk(bytes, false); }
    ChainMaker& free(uint64_t bytes) { return chunk(bytes, true); }
    ChainMaker& top(uint64_t end) { return used(end - at_); }
    ChainMaker& fenceposts(uint64_t last_word) {
        memory_.write(at_ + 8, 16 | previous_in_use_);
        memory_.write(at_ + 24, last_word);
        at_ += 32;
        previous_in_use_ = 1;
        return *this;
    }
    ChainMaker& others(uint64_t bytes) {
        at_ += bytes;
        return *this;
    }
    uint64_t at() const { return at_; }

  private:
    ChainMaker& chunk(uint64_t bytes, bool is_free) {
        memory_.write(at_ + 8, bytes | previous_in_use_);
        if (is_free) memory_.write(at_ + bytes, bytes);
        at_ += bytes;
        previous_in_use_ = is_free ? 0 : 1;
        return *this;
    }

    FakeMemory& memory_;
    uint64_t at_;
    uint64_t previous_in_use_ = 1;
};

uint64_t sum(const HeapFigures& figures) {
    return figures.in_use_bytes + figures.free_bytes + figures.top_bytes + figures.metadata_bytes +
           figures.foreign_bytes;
}

GlibcHeaps read_main(FakeMemory& memory, const AskedBlocks* asked = nullptr) {
    GlibcHeaps result;
    read_main_heap(memory, {kBase, memory.end()}, asked, result);
    return result;
}

GlibcHeaps read_anonymous(FakeMemory& memory, const AskedBlocks* asked = nullptr) {
    GlibcHeaps result;
    read_anonymous_heaps(memory, {kBase, memory.end()}, asked, result);
    return result;
}

void expect_unread(const GlibcHeaps& result, AddressRange range) {
    EXPECT_TRUE(result.heaps.empty());
    ASSERT_EQ(result.unread.size(), 1U);
    EXPECT_EQ(result.unread[0].start, range.start);
    EXPECT_EQ(result.unread[0].end, range.end);
}

TEST(GlibcMainHeap, IsCountedToTheByte) {
    FakeMemory memory(33 * kPage);
    ChainMaker(memory, kBase).used(0x290).free(0x2000).used(32).free(64).used(0x3000).top(memory.end());
    const GlibcHeaps result = read_main(memory);
    ASSERT_EQ(result.heaps.size(), 1U);
    const HeapFigures& figures = result.heaps[0].figures;
    EXPECT_EQ(figures.chunks, 5U);
    EXPECT_EQ(figures.in_use_chunks, 3U);
    EXPECT_EQ(figures.in_use_bytes, 0x290 + 32 + 0x3000 - 3 * 8U);
    EXPECT_EQ(figures.free_bytes, 0x2000 + 64U);
    EXPECT_EQ(figures.metadata_bytes, 3 * 8U);
    EXPECT_EQ(figures.foreign_bytes, 0U);
    EXPECT_EQ(sum(figures), 33 * kPage);
    EXPECT_TRUE(result.unread.empty());
}

TEST(GlibcMainHeap, RetainsThePagesThatTrimmingWouldReturn) {
    FakeMemory memory(16 * kPage);
    // The links of the first free chunk end with its page; those of the second reach into the next one.
    ChainMaker chain(memory, kBase);
    chain.used(kPage - 48).free(2 * kPage).used(2 * kPage + 16).free(3 * kPage).used(32).top(memory.end());
    const HeapFigures figures = read_main(memory).heaps.at(0).figures;
    ASSERT_EQ(figures.retained.size(), 3U);
    EXPECT_EQ(figures.retained[0].start, kBase + kPage);
    EXPECT_EQ(figures.retained[0].end, kBase + 2 * kPage);
    EXPECT_EQ(figures.retained[1].start, kBase + 6 * kPage);
    EXPECT_EQ(figures.retained[1].end, kBase + 7 * kPage);
    EXPECT_EQ(figures.retained[2].start, kBase + 9 * kPage);
    EXPECT_EQ(figures.retained[2].end, memory.end());
}

TEST(GlibcMainHeap, GoesOnBehindOthersMemory) {
    FakeMemory memory(16 * kPage);
    ChainMaker chain(memory, kBase);
    for (int i = 0; i < 20; ++i) chain.used(64);
    chain.fenceposts(16 | 1).others(3 * kPage);
    for (int i = 0; i < 20; ++i) chain.used(48);
    chain.top(memory.end());
    const HeapFigures figures = read_main(memory).heaps.at(0).figures;
    EXPECT_EQ(figures.in_use_chunks, 40U);
    EXPECT_EQ(figures.foreign_bytes, 3 * kPage);
    EXPECT_EQ(figures.metadata_bytes, 40 * 8 + 32U);
    EXPECT_EQ(sum(figures), 16 * kPage);
}

TEST(GlibcMainHeap, BeginsBehindWhatOthersMovedTheBreakFor) {
    FakeMemory memory(16 * kPage);
    ChainMaker chain(memory, kBase + kPage + 0x40);
    for (int i = 0; i < 20; ++i) chain.used(64);
    chain.top(memory.end());
    const HeapFigures figures = read_main(memory).heaps.at(0).figures;
    EXPECT_EQ(figures.foreign_bytes, kPage + 0x40);
    EXPECT_EQ(figures.in_use_chunks, 20U);
}

TEST(GlibcMainHeap, WithAChainThatDoesNotCloseIsUnread) {
    const auto make = [](FakeMemory& memory) {
        ChainMaker(memory, kBase).used(0x290).free(0x400).used(0x100).free(0x200).used(64).top(memory.end());
    };
    const std::pair<uint64_t, uint64_t> damages[] = {
        {kBase + 0x290 + 0x400, 0x3f0},            // the size behind a free chunk
        {kBase + 0x290 + 0x408, 0x108},            // unaligned
        {kBase + 0x290 + 0x408, 0x100 | 2},        // a mapped block within the heap
        {kBase + 0x290 + 0x408, 0},                // nothing
        {kBase + 0x290 + 0x408, 16},               // one fencepost only
        {kBase + 0x290 + 0x408, 64 * kPage},       // beyond the end
        {kBase + 0x290 + 8, 0x400},                // two free neighbours
        {kBase + 0x290 + 0x700 + 64 + 8, 0x1000},  // a free chunk before the top
    };
    for (const auto& [address, word] : damages) {
        FakeMemory memory(8 * kPage);
        make(memory);
        ASSERT_EQ(read_main(memory).heaps.size(), 1U);
        memory.write(address, word);
        SCOPED_TRACE(testing::Message() << address - kBase << " " << word);
        expect_unread(read_main(memory), {kBase, memory.end()});
    }
}

TEST(GlibcMainHeap, WithAFreeChunkBeforeItsTopIsUnread) {
    FakeMemory memory(8 * kPage);
    ChainMaker(memory, kBase).used(0x290).free(0x400).top(memory.end());
    expect_unread(read_main(memory), {kBase, memory.end()});
}

TEST(GlibcMainHeap, KeepsTheSmallestTop) {
    for (const auto& [top_bytes, retained] :
         {std::pair{kPage + 32, 1U}, {kPage + 16, 0U}, {kPage - 32, 0U}}) {
        FakeMemory memory(8 * kPage);
        ChainMaker(memory, kBase).used(8 * kPage - top_bytes).top(memory.end());
        EXPECT_EQ(read_main(memory).heaps.at(0).figures.retained.size(), retained) << top_bytes;
    }
}

TEST(GlibcMainHeap, IsNotCopiedWhereLargeChunksLie) {
    FakeMemory memory(4096 * kPage);
    ChainMaker chain(memory, kBase);
    while (chain.at() < memory.end() - 512 * kPage) chain.used(1 << 20).used(64);
    chain.top(memory.end());
    EXPECT_EQ(read_main(memory).heaps.size(), 1U);
    EXPECT_LT(memory.bytes_read, memory.bytes().size() / 16);
}

TEST(GlibcMainHeap, IsCopiedAnewWhenItIsReadAgain) {
    FakeMemory memory(8 * kPage);
    ChainMaker(memory, kBase).used(0x290).used(0x400).top(memory.end());
    memory.write(kBase + 0x290 + 8, 0);
    memory.before_reading = [&] {
        if (memory.readings == 2) memory.write(kBase + 0x290 + 8, 0x401);
    };
    EXPECT_EQ(read_main(memory).heaps.size(), 1U);
}

TEST(GlibcMainHeap, IsReadAgainWhereItChangedMeanwhile) {
    FakeMemory memory(4096 * kPage);
    ChainMaker chain(memory, kBase);
    size_t free_chunks = 0;
    uint64_t torn = 0;
    while (chain.at() < memory.end() - 16 * kPage) {
        torn = chain.at();
        chain.used(0x2010).free(0x3000);
        free_chunks += 1;
    }
    chain.used(64).top(memory.end());
    // It lies near the end, until the reader has gone back some times.
    memory.write(torn + 8, 7);
    memory.before_reading = [&] {
        if (memory.readings == 70) memory.write(torn + 8, 0x2010);
    };
    const GlibcHeaps result = read_main(memory);
    ASSERT_EQ(result.heaps.size(), 1U);
    const HeapFigures& figures = result.heaps[0].figures;
    EXPECT_EQ(sum(figures), 4096 * kPage);
    EXPECT_EQ(figures.chunks - figures.in_use_chunks, free_chunks);
    ASSERT_EQ(figures.retained.size(), free_chunks + 1);
    for (size_t i = 1; i < figures.retained.size(); ++i) {
        EXPECT_GE(figures.retained[i].start, figures.retained[i - 1].end);
    }
    // Not the whole of it for each new attempt.
    EXPECT_LT(memory.bytes_read, 3 * memory.bytes().size());
}

// Where a heap begins: its own information, and in the first of an arena the arena's state.
uint64_t begin_heap(FakeMemory& memory, uint64_t info_bytes, bool is_first, uint64_t bytes) {
    memory.write(kBase, (is_first ? kBase : kBase - (64 << 20)) + info_bytes);
    memory.write(kBase + 8, is_first ? 0 : kBase - (64 << 20));
    memory.write(kBase + 16, bytes);
    memory.write(kBase + 24, bytes);
    const uint64_t first = kBase + info_bytes + (is_first ? 0x898 : 0);
    return (first + 15) & ~15ULL;
}

TEST(GlibcArenaHeap, IsFoundByItsAlignmentInAllReleases) {
    for (const uint64_t info_bytes : {32, 48}) {
        for (const bool is_first : {true, false}) {
            FakeMemory memory(64 * kPage);
            const uint64_t first = begin_heap(memory, info_bytes, is_first, 33 * kPage);
            ChainMaker(memory, first).used(0x290).free(0x500).used(32).top(kBase + 33 * kPage);
            const GlibcHeaps result = read_anonymous(memory);
            ASSERT_EQ(result.heaps.size(), 1U);
            const GlibcHeap& heap = result.heaps[0];
            EXPECT_EQ(heap.kind, GlibcHeapKind::kArena);
            EXPECT_EQ(heap.range.end, kBase + 33 * kPage);
            EXPECT_EQ(heap.figures.metadata_bytes, first - kBase + 2 * 8);
            EXPECT_EQ(heap.figures.free_bytes, 0x500U);
            EXPECT_EQ(sum(heap.figures), 33 * kPage);
        }
    }
}

TEST(GlibcArenaHeap, ThatIsFullEndsWithFenceposts) {
    FakeMemory memory(16 * kPage);
    const uint64_t first = begin_heap(memory, 48, false, 16 * kPage);
    ChainMaker chain(memory, first);
    for (int i = 0; i < 10; ++i) chain.used(0x110);
    chain.free(memory.end() - 32 - chain.at()).fenceposts(1);
    const HeapFigures figures = read_anonymous(memory).heaps.at(0).figures;
    EXPECT_EQ(figures.top_bytes, 0U);
    EXPECT_EQ(figures.metadata_bytes, 48 + 10 * 8 + 32U);
    EXPECT_EQ(sum(figures), 16 * kPage);
}

TEST(GlibcArenaHeap, WithABrokenChainIsUnreadAsFarAsItReaches) {
    FakeMemory memory(64 * kPage);
    const uint64_t first = begin_heap(memory, 48, true, 33 * kPage);
    ChainMaker(memory, first).used(0x290).used(0x500).used(32).top(kBase + 33 * kPage);
    memory.write(first + 0x290 + 8, 0x501 + 16);
    expect_unread(read_anonymous(memory), {kBase, kBase + 33 * kPage});
}

TEST(GlibcMappedBlocks, AreCountedWhereverTheyBegin) {
    FakeMemory memory(700 * kPage);
    const auto block = [&](uint64_t page, uint64_t pages) {
        memory.write(kBase + page * kPage + 8, pages * kPage | 2);
    };
    block(3, 40);
    block(43, 33);
    block(600, 50);
    block(690, 20);                                    // longer than the mapping
    memory.write(kBase + 680 * kPage + 8, kPage | 1);  // a chunk, not mapped
    const GlibcHeaps result = read_anonymous(memory);
    ASSERT_EQ(result.heaps.size(), 2U);
    EXPECT_EQ(result.heaps[0].range.start, kBase + 3 * kPage);
    EXPECT_EQ(result.heaps[0].range.end, kBase + 76 * kPage);
    EXPECT_EQ(result.heaps[0].figures.chunks, 2U);
    EXPECT_EQ(result.heaps[0].figures.in_use_bytes, 73 * kPage - 32);
    EXPECT_EQ(result.heaps[1].range.start, kBase + 600 * kPage);
    EXPECT_TRUE(result.unread.empty());
}

// Blocks by address; each stands for `weight`.
class FakeAsked final : public AskedBlocks {
  public:
    std::map<uint64_t, uint64_t> bytes;
    double weight = 1;
    void expect(uint64_t) const override {}
    bool find(uint64_t address, AskedBlock& block) const override {
        const auto found = bytes.find(address);
        if (found == bytes.end()) return false;
        block = {found->second, weight};
        return true;
    }
};

TEST(GlibcSlack, IsWhatAChunkHasBeyondWhatItsBlockWasAskedFor) {
    FakeMemory memory(33 * kPage);
    ChainMaker(memory, kBase).used(0x290).used(48).used(32).free(64).used(0x3000).top(memory.end());
    const uint64_t second = kBase + 0x290, third = second + 48, large = third + 32 + 64;
    FakeAsked asked;
    // The first is not recorded, and where the third was another block is recorded by now.
    asked.bytes = {{second + 16, 25}, {third + 16, 500}, {large + 16, 0x2ff0}, {kBase + 8, 1}};
    const HeapFigures figures = read_main(memory, &asked).heaps.at(0).figures;
    EXPECT_EQ(figures.asked_blocks, 2);
    EXPECT_EQ(figures.asked_bytes, 25 + 0x2ff0);
    EXPECT_EQ(figures.slack_bytes, 40 - 25 + 8);
    EXPECT_EQ(figures.slack_resident_bytes, figures.slack_bytes);
    EXPECT_EQ(sum(figures), memory.bytes().size());

    asked.weight = 2.5;
    EXPECT_EQ(read_main(memory, &asked).heaps.at(0).figures.slack_bytes, 2.5 * (40 - 25 + 8));
}

TEST(GlibcSlack, OfALargeChunkIsResidentAsFarAsItsPagesAre) {
    FakeMemory memory(33 * kPage);
    ChainMaker(memory, kBase).used(8 * kPage).used(32).top(memory.end());
    FakeAsked asked;
    asked.bytes = {{kBase + 16, 2 * kPage}};
    memory.resident_end = kBase + 4 * kPage;
    const HeapFigures figures = read_main(memory, &asked).heaps.at(0).figures;
    EXPECT_EQ(figures.slack_bytes, 8 * kPage - 8 - 2 * kPage);
    // From 16 bytes into the third page to the end of the fourth.
    EXPECT_EQ(figures.slack_resident_bytes, 2 * kPage - 16);
}

TEST(GlibcSlack, OfAMappedBlockIsTheRestOfItsLastPage) {
    FakeMemory memory(100 * kPage);
    memory.write(kBase + 3 * kPage + 8, 40 * kPage | 2);
    memory.write(kBase + 43 * kPage + 8, 33 * kPage | 2);
    FakeAsked asked;
    asked.bytes = {{kBase + 3 * kPage + 16, 40 * kPage - 1000}, {kBase + 43 * kPage + 16, 33 * kPage - 500}};
    memory.resident_end = kBase + 50 * kPage;
    const HeapFigures figures = read_anonymous(memory, &asked).heaps.at(0).figures;
    EXPECT_EQ(figures.asked_blocks, 2);
    EXPECT_EQ(figures.slack_bytes, 1000 - 16 + 500 - 16);
    EXPECT_EQ(figures.slack_resident_bytes, 1000 - 16);
}

// A walk that fails and starts anew from a place that it kept counts each chunk once.
TEST(GlibcSlack, IsCountedOnceWhereTheWalkGoesBack) {
    constexpr uint64_t kPages = 600;
    FakeMemory memory(kPages * kPage);
    FakeAsked asked;
    ChainMaker chain(memory, kBase);
    while (chain.at() < memory.end() - 2 * kPage) {
        asked.bytes[chain.at() + 16] = 33;
        chain.used(48);
    }
    const uint64_t last = chain.at();
    chain.top(memory.end());
    const uint64_t broken = kBase + 500 * kPage / 48 * 48;
    memory.write(broken + 8, 7);
    int readings = 0;
    memory.before_reading = [&] {
        if (++readings == 20) memory.write(broken + 8, 49);
    };
    const GlibcHeaps result = read_main(memory, &asked);
    ASSERT_EQ(result.heaps.size(), 1U);
    EXPECT_EQ(result.heaps[0].figures.asked_blocks, (last - kBase) / 48);
    EXPECT_EQ(result.heaps[0].figures.slack_bytes, (last - kBase) / 48 * (40 - 33));
}

TEST(GlibcArenaHeap, ThatGrewSinceTheMappingsWereListedIsReadAsFarAsItReachesNow) {
    FakeMemory memory(64 * kPage);
    ChainMaker(memory, begin_heap(memory, 48, true, 33 * kPage)).used(0x290).used(32).top(kBase + 33 * kPage);
    GlibcHeaps result;
    read_anonymous_heaps(memory, {kBase, kBase + 20 * kPage}, nullptr, result);
    EXPECT_EQ(sum(result.heaps.at(0).figures), 33 * kPage);
}

// Whatever lies there: what is counted adds up to the heap's extent, and the reading ends.
void expect_sense(FakeMemory& memory) {
    GlibcHeaps result = read_main(memory);
    read_anonymous_heaps(memory, {kBase, memory.end()}, nullptr, result);
    for (const GlibcHeap& heap : result.heaps) {
        EXPECT_EQ(sum(heap.figures), heap.range.end - heap.range.start);
        for (const AddressRange& pages : heap.figures.retained) {
            EXPECT_GE(pages.start, heap.range.start);
            EXPECT_LT(pages.start, pages.end);
            EXPECT_LE(pages.end, heap.range.end);
        }
    }
}

TEST(GlibcHeapFuzz, RandomBytesAreNeverNonsense) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 300; ++round) {
        FakeMemory memory((1 + random() % 40) * kPage);
        // Small sizes, so that chains go on for a while.
        for (uint64_t at = kBase; at < memory.end(); at += 8)
            memory.write(at, random() % (1ULL << (random() % 16)));
        if (round % 2 == 1) begin_heap(memory, 48, true, memory.end() - kBase);
        expect_sense(memory);
    }
}

TEST(GlibcHeapFuzz, DamagedHeapsAreNeverNonsense) {
    std::mt19937_64 random(2);
    for (int round = 0; round < 300; ++round) {
        FakeMemory memory(40 * kPage);
        const uint64_t first = round % 2 == 0 ? kBase : begin_heap(memory, 48, true, 40 * kPage);
        ChainMaker chain(memory, first);
        while (chain.at() < memory.end() - 2 * kPage)
            chain.used(32 + random() % 64 * 16).free(32 + random() % 32 * 16).used(32);
        chain.top(memory.end());
        for (uint64_t damage = random() % 8; damage > 0; --damage) {
            const uint64_t place = random() % (memory.bytes().size() / 8) * 8;
            memory.write(kBase + place, random() % 4 == 0 ? random() : random() % 64 * 8 + random() % 8);
        }
        expect_sense(memory);
    }
}

TEST(GlibcHeapFuzz, AHeapInWhichEachNumberLeadsFarAwayIsGivenUp) {
    FakeMemory memory(4096 * kPage);
    for (uint64_t at = kBase; at < memory.end(); at += 16) memory.write(at + 8, (1 << 20) | 1);
    memory.write(kBase + 8, 0);
    expect_sense(memory);
    // Looked at as the main heap, and before that searched for where it begins.
    EXPECT_LT(memory.bytes_read, 3 * 16 * memory.bytes().size());
}

}  // namespace
}  // namespace offheap::addon
