#include "preload/python/line.h"

#include <vector>

#include "gtest/gtest.h"

namespace offheap::python {
namespace {

uint32_t line(LineTable table, const std::vector<uint8_t>& bytes, uint32_t first_line, int64_t instruction) {
    return line_at(table, bytes.data(), bytes.size(), first_line, instruction);
}

TEST(Line, BeforeTheFirstInstructionIsTheFirstLine) {
    EXPECT_EQ(line(LineTable::locations, {0x80 | 15 << 3}, 7, -2), 7u);
    EXPECT_EQ(line(LineTable::line_deltas, {}, 7, -2), 7u);
    EXPECT_EQ(line(LineTable::lnotab, {}, 7, -1), 7u);
}

TEST(Line, LnotabGoesBackToo) {
    // def f(): three lines, the second of them once more behind a loop's end.
    const std::vector<uint8_t> table = {0, 1, 8, 1, 6, 0xff};
    EXPECT_EQ(line(LineTable::lnotab, table, 10, 0), 11u);
    EXPECT_EQ(line(LineTable::lnotab, table, 10, 7), 11u);
    EXPECT_EQ(line(LineTable::lnotab, table, 10, 8), 12u);
    EXPECT_EQ(line(LineTable::lnotab, table, 10, 14), 11u);
    EXPECT_EQ(line(LineTable::lnotab, {}, 10, 14), 10u);
}

TEST(Line, LineDeltasHaveGapsWithoutALine) {
    const std::vector<uint8_t> table = {4, 1, 2, 0x80, 6, 2, 250, 0, 6, 0xfe};
    EXPECT_EQ(line(LineTable::line_deltas, table, 10, 0), 11u);
    EXPECT_EQ(line(LineTable::line_deltas, table, 10, 4), 0u);
    EXPECT_EQ(line(LineTable::line_deltas, table, 10, 6), 13u);
    EXPECT_EQ(line(LineTable::line_deltas, table, 10, 200), 13u);
    EXPECT_EQ(line(LineTable::line_deltas, table, 10, 262), 11u);
    EXPECT_EQ(line(LineTable::line_deltas, table, 10, 268), 0u);
}

TEST(Line, LocationsOfEachForm) {
    const std::vector<uint8_t> table = {
        0x80 | 0 << 3 | 1,
        0x12,  // two instructions on the same line
        0x80 | 11 << 3 | 0,
        0x04,
        0x09,  // one, a line further
        0x80 | 13 << 3 | 2,
        0x05,                // three, two lines back
        0x80 | 15 << 3 | 0,  // one that has no line
        0x80 | 14 << 3 | 0,
        0x48,
        0x03,
        0x01,  // one, (0x8 | 3 << 6) / 2 lines on; then ends and columns
        0x01,
        0x01,
    };
    EXPECT_EQ(line(LineTable::locations, table, 100, 0), 100u);
    EXPECT_EQ(line(LineTable::locations, table, 100, 2), 100u);
    EXPECT_EQ(line(LineTable::locations, table, 100, 4), 101u);
    EXPECT_EQ(line(LineTable::locations, table, 100, 6), 99u);
    EXPECT_EQ(line(LineTable::locations, table, 100, 11), 99u);
    EXPECT_EQ(line(LineTable::locations, table, 100, 12), 0u);
    EXPECT_EQ(line(LineTable::locations, table, 100, 14), 199u);
    EXPECT_EQ(line(LineTable::locations, table, 100, 16), 0u);
}

TEST(Line, ATableThatEndsTooEarlyGivesNone) {
    EXPECT_EQ(line(LineTable::locations, {0x80 | 14 << 3, 0x7f}, 100, 0), 69u);
    EXPECT_EQ(line(LineTable::locations, {0x80 | 14 << 3}, 100, 4), 0u);
    EXPECT_EQ(line(LineTable::line_deltas, {4}, 10, 0), 0u);
}

TEST(Line, NoLineIsNegative) {
    EXPECT_EQ(line(LineTable::lnotab, {0, 0x80}, 10, 0), 0u);
    EXPECT_EQ(line(LineTable::line_deltas, {8, 0x81}, 10, 0), 0u);
}

}  // namespace
}  // namespace offheap::python
