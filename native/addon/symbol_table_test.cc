#include "native/addon/symbol_table.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <random>
#include <string>

#include "native/addon/bus_guard.h"
#include "native/addon/symbol_file.h"

namespace offheap::addon {
namespace {

using Bytes = std::vector<uint8_t>;

// Functions "f0", "f1", … of 16 bytes each, from 0x1000 on.
Bytes table_of(uint32_t functions) {
    FunctionIndex index;
    index.base = 0x1000;
    index.names.push_back('\0');
    for (uint32_t i = 0; i < functions; ++i) {
        index.boundaries.push_back(16 * i);
        index.owners.push_back(static_cast<int32_t>(i));
        index.addresses.push_back(16 * i);
        index.name_offsets.push_back(static_cast<uint32_t>(index.names.size()));
        for (const char each : "f" + std::to_string(i)) index.names.push_back(each);
        index.names.push_back('\0');
    }
    index.named = functions;
    Bytes bytes(symbol_table_size(index));
    lay_out_symbol_table(index, bytes.data());
    return bytes;
}

TEST(SymbolTable, FindsWhatWasLaidOut) {
    const Bytes bytes = table_of(100);
    const std::optional<SymbolTable> table = SymbolTable::over(bytes);
    ASSERT_TRUE(table);
    EXPECT_EQ(table->count(), 100u);
    EXPECT_EQ(table->index_at(0xfff), -1);
    EXPECT_EQ(table->index_at(0x1000 + 16 * 42 + 15), 42);
    EXPECT_EQ(table->name_of(42), "f42");
    EXPECT_EQ(table->address_of(42), 0x1000u + 16 * 42);
    EXPECT_EQ(table->name_of(100), "");
}

TEST(SymbolTable, StaysWithinItsBytesWhateverTheyHold) {
    const Bytes original = table_of(50);
    std::mt19937 random(1);
    for (int round = 0; round < 20000; ++round) {
        // Of its own size, so that a sanitizer sees a byte too far.
        Bytes bytes = original;
        for (int change = 0; change < 4; ++change) bytes[random() % bytes.size()] ^= random();
        const std::optional<SymbolTable> table = SymbolTable::over(bytes);
        if (!table) continue;
        for (double address = 0xff0; address < 0x1400; address += 7) {
            const int32_t index = table->index_at(address);
            if (index >= 0) table->name_of(static_cast<uint32_t>(index));
        }
    }
    for (size_t size = 0; size < original.size(); ++size) {
        EXPECT_FALSE(SymbolTable::over({original.data(), size}));
    }
}

class SymbolFileTest : public ::testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/offheap-symbols-XXXXXX";
        folder_ = mkdtemp(name);
        path_ = folder_ + "/table";
        for (size_t i = 0; i < key_.size(); ++i) key_[i] = static_cast<uint8_t>(i);
        ASSERT_FALSE(SymbolFile::create(path_, key_, table_));
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::string folder_, path_;
    std::array<uint8_t, kSymbolKeyBytes> key_;
    const Bytes table_ = table_of(2000);
};

TEST_F(SymbolFileTest, GivesBackWhatWasWritten) {
    const std::optional<SymbolFile> file = SymbolFile::open(path_, key_);
    ASSERT_TRUE(file);
    EXPECT_TRUE(std::equal(table_.begin(), table_.end(), file->table().begin(), file->table().end()));
    EXPECT_TRUE(SymbolFile::create(path_, key_, table_)) << "what is there is not written over";
}

TEST_F(SymbolFileTest, RefusesAndRemovesOneOfAnotherKey) {
    key_[31] ^= 1;
    EXPECT_FALSE(SymbolFile::open(path_, key_));
    EXPECT_NE(access(path_.c_str(), F_OK), 0);
}

TEST_F(SymbolFileTest, ATableThatIsCutWhileItIsReadIsAnErrorAndNoCrash) {
    const std::optional<SymbolFile> file = SymbolFile::open(path_, key_);
    ASSERT_TRUE(file);
    const auto last = [&] {
        uint8_t byte = 1;
        const bool there = guarded_access(file->base(), file->bytes(),
                                          [&] { byte = file->table()[file->table().size() - 2]; });
        return std::pair(there, byte);
    };
    EXPECT_TRUE(last().first);
    ASSERT_EQ(truncate(path_.c_str(), 100), 0);
    EXPECT_EQ(last(), std::pair(false, uint8_t{0}));
}

}  // namespace
}  // namespace offheap::addon
