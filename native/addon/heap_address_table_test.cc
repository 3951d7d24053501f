#include "native/addon/heap_address_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "native/addon/heap_live_blocks.h"

namespace offheap::addon {
namespace {

struct Entry {
    uint64_t key = 0;
    uint64_t value = 0;
    uint64_t order() const { return key << kOrderShift; }
    bool alive() const { return value != 0; }
    void bury() { value = 0; }
};
using Table = AddressTable<Entry, 0>;

std::vector<uint64_t> values_of(Table& table, uint64_t key) {
    std::vector<uint64_t> values;
    for (Entry* at = table.find(key); at != nullptr; at = Table::next(at)) values.push_back(at->value);
    std::sort(values.begin(), values.end());
    return values;
}

TEST(AddressKey, DiffersForEachAddressAndIsNeverZero) {
    choose_address_factor();
    std::map<uint64_t, uint64_t> keys;
    for (uint64_t address = 8; address < 800'000; address += 8) {
        for (const uint64_t base : {0ULL, 0x7f12'3456'0000ULL}) {
            const uint64_t key = address_key(base + address);
            EXPECT_NE(key, 0U);
            EXPECT_LE(key, kAddressKeyMask);
            EXPECT_TRUE(keys.emplace(key, base + address).second) << address;
        }
    }
}

// Few keys, so that each stands several times, and keys at either end, where an array is easily left.
TEST(AddressTable, HoldsWhatWasPutInAndNotErased) {
    std::mt19937_64 random(7);
    for (const uint64_t spread : {uint64_t{1}, uint64_t{1} << 20, kAddressKeyMask / 300}) {
        Table table;
        std::multimap<uint64_t, uint64_t> truth;
        for (uint64_t step = 1; step < 30'000; ++step) {
            const bool from_end = random() % 2 == 0;
            const uint64_t place = 1 + random() % 300 * spread;
            const uint64_t key = from_end ? kAddressKeyMask + 1 - place : place;
            const size_t fill = step < 15'000 ? 60 : 40;
            if (random() % 100 < fill) {
                table.insert({key, step});
                truth.emplace(key, step);
            } else if (const auto found = truth.find(key); found != truth.end()) {
                Entry* at = table.find(key);
                while (at != nullptr && at->value != found->second) at = Table::next(at);
                ASSERT_NE(at, nullptr);
                table.erase(at);
                truth.erase(found);
            }
            ASSERT_EQ(table.size(), truth.size());
            std::vector<uint64_t> expected;
            for (auto [at, last] = truth.equal_range(key); at != last; ++at) expected.push_back(at->second);
            std::sort(expected.begin(), expected.end());
            ASSERT_EQ(values_of(table, key), expected) << "step " << step;
        }
        size_t visited = 0;
        table.for_each([&](const Entry&) { ++visited; });
        EXPECT_EQ(visited, truth.size());
        table.erase_if([](const Entry& entry) { return entry.value % 3 == 0; });
        std::erase_if(truth, [](const auto& entry) { return entry.second % 3 == 0; });
        EXPECT_EQ(table.size(), truth.size());
        for (const auto& [key, value] : truth) {
            const std::vector<uint64_t> values = values_of(table, key);
            EXPECT_TRUE(std::find(values.begin(), values.end(), value) != values.end());
        }
    }
}

// Keys that never come again, so that the places of erased ones are wanted for others.
TEST(AddressTable, ForgetsWhatWasErased) {
    std::mt19937_64 random(11);
    Table table;
    std::vector<uint64_t> alive;
    for (uint64_t step = 1; step < 100'000; ++step) {
        const uint64_t key = 1 + random() % kAddressKeyMask;
        ASSERT_TRUE(table.insert_unique({key, step}));
        alive.push_back(key);
        if (alive.size() < 700) continue;
        uint64_t& chosen = alive[random() % alive.size()];
        table.erase(table.find(chosen));
        ASSERT_EQ(table.find(chosen), nullptr);
        chosen = alive.back();
        alive.pop_back();
    }
    ASSERT_EQ(table.size(), alive.size());
    for (const uint64_t key : alive) ASSERT_NE(table.find(key), nullptr);
    uint64_t last = 0;
    size_t visited = 0;
    table.for_each([&](const Entry& entry) {
        EXPECT_GT(entry.key, last);
        last = entry.key;
        ++visited;
    });
    EXPECT_EQ(visited, alive.size());
}

TEST(AddressTable, RefusesASecondEntryWhereKeysAreUnique) {
    Table table;
    EXPECT_TRUE(table.insert_unique({5, 1}));
    EXPECT_FALSE(table.insert_unique({5, 2}));
    EXPECT_EQ(values_of(table, 5), std::vector<uint64_t>{1});
}

TEST(LiveBlocks, KeepsSizesOfAnyKindAndSitesUpToTheLimit) {
    LiveBlocks blocks;
    const std::vector<LiveBlock> all = {{0, 0, 0},
                                        {(1 << 24) - 2, 1, 2},
                                        {(1 << 24) - 1, LiveBlocks::kSiteLimit - 1, UINT32_MAX},
                                        {1ULL << 46, 0xfffff, 7}};
    for (uint64_t index = 0; index < all.size(); ++index)
        EXPECT_TRUE(blocks.put(4096 + 8 * index, all[index]));
    EXPECT_EQ(blocks.size(), all.size());
    for (uint64_t index = 0; index < all.size(); ++index) {
        LiveBlock block;
        ASSERT_TRUE(blocks.take(4096 + 8 * index, UINT32_MAX, block));
        EXPECT_EQ(block.bytes, all[index].bytes);
        EXPECT_EQ(block.site, all[index].site);
        EXPECT_EQ(block.born, all[index].born);
        EXPECT_FALSE(blocks.find(4096 + 8 * index, block));
    }
    EXPECT_EQ(blocks.size(), 0U);
}

TEST(LiveBlocks, LeavesAYoungerBlockWhereItIs) {
    LiveBlocks blocks;
    LiveBlock block;
    blocks.put(4096, {10, 1, 6});
    EXPECT_FALSE(blocks.put(4096, {20, 1, 7}));
    EXPECT_FALSE(blocks.take(4096, 5, block));
    EXPECT_TRUE(blocks.take(4096, 6, block));
    EXPECT_EQ(block.bytes, 10U);
}

}  // namespace
}  // namespace offheap::addon
