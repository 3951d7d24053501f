// The index of mappings against a map of the standard library.
#include "preload/record/mapping_index.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>

namespace offheap::record {
namespace {

class NaiveIndex {
  public:
    bool take_overlapping(uint64_t start, uint64_t end, IndexedMapping* taken) {
        for (auto entry = mappings_.begin(); entry != mappings_.end(); ++entry) {
            if (entry->second.start >= end || entry->second.end <= start) continue;
            *taken = entry->second;
            mappings_.erase(entry);
            return true;
        }
        return false;
    }
    void insert(const IndexedMapping& mapping) {
        IndexedMapping taken;
        while (take_overlapping(mapping.start, mapping.end, &taken)) {
        }
        mappings_[mapping.start] = mapping;
    }
    void clear() { mappings_.clear(); }

  private:
    std::map<uint64_t, IndexedMapping> mappings_;
};

std::unique_ptr<MappingIndex> empty_index() {
    auto index = std::make_unique<MappingIndex>();
    index->clear();
    return index;
}

TEST(MappingIndex, agrees_with_a_map) {
    const auto index = empty_index();
    NaiveIndex naive;
    std::mt19937_64 random(11);
    for (uint32_t step = 0; step < 60'000; ++step) {
        const uint64_t start = random() % 4000;
        const uint64_t end = start + 1 + random() % (step % 1000 == 0 ? 1500 : 6);
        // Grows for a while, then shrinks: blocks are split and emptied.
        const bool inserts = random() % 4 < (step / 5000 % 2 == 0 ? 3 : 1);
        if (inserts) {
            index->insert({start, end, step, 0});
            naive.insert({start, end, step, 0});
            continue;
        }
        if (random() % 20'000 == 0) {
            index->clear();
            naive.clear();
        }
        IndexedMapping taken = {}, expected = {};
        bool found = true;
        while (found) {
            found = naive.take_overlapping(start, end, &expected);
            ASSERT_EQ(index->take_overlapping(start, end, &taken), found) << "step " << step;
            if (!found) break;
            ASSERT_EQ(taken.start, expected.start);
            ASSERT_EQ(taken.end, expected.end);
            ASSERT_EQ(taken.slot, expected.slot);
        }
    }
}

TEST(MappingIndex, splits_a_full_block_at_every_place) {
    constexpr uint64_t kFull = 64;
    for (uint64_t place = 0; place <= kFull; ++place) {
        SCOPED_TRACE(place);
        const auto index = empty_index();
        for (uint64_t i = 0; i < kFull; ++i) {
            const uint64_t start = i < place ? i * 10 : i * 10 + 10;
            index->insert({start, start + 5, static_cast<uint32_t>(start), 0});
        }
        index->insert({place * 10, place * 10 + 5, static_cast<uint32_t>(place * 10), 0});
        for (uint64_t i = 0; i <= kFull; ++i) {
            IndexedMapping taken;
            ASSERT_TRUE(index->take_overlapping(i * 10, i * 10 + 10, &taken));
            ASSERT_EQ(taken.start, i * 10);
            ASSERT_EQ(taken.slot, i * 10);
            ASSERT_FALSE(index->take_overlapping(i * 10, i * 10 + 10, &taken));
        }
    }
}

// Without room it forgets; what it still answers is right.
TEST(MappingIndex, says_nothing_wrong_when_it_overflows) {
    const auto index = empty_index();
    constexpr uint64_t kMany = 200'000;
    for (uint64_t i = 0; i < kMany; ++i) index->insert({i * 10, i * 10 + 5, static_cast<uint32_t>(i), 1});
    uint64_t held = 0;
    for (uint64_t i = 0; i < kMany; ++i) {
        IndexedMapping taken;
        if (!index->take_overlapping(i * 10, i * 10 + 10, &taken)) continue;
        ++held;
        ASSERT_EQ(taken.slot, i);
        ASSERT_EQ(taken.start, i * 10);
    }
    EXPECT_GT(held, 30'000u);
    IndexedMapping taken;
    EXPECT_FALSE(index->take_overlapping(0, ~0ULL, &taken));
}

}  // namespace
}  // namespace offheap::record
