#include "preload/unwind/eh_frame.h"

#include <gtest/gtest.h>

#include "test/native/unwind/table_bytes.h"

namespace offheap::unwind {
namespace {

bool finds(const TableBytes& table, uint64_t offset, FrameDescription& description) {
    return find_frame_description(table.module(), table.base() + offset, description);
}

bool finds(const TableBytes& table, uint64_t offset) {
    FrameDescription description;
    return finds(table, offset, description);
}

TEST(EhFrame, finds_the_function_that_covers_an_address) {
    const TableBytes table({{0x1000, 0x20, {0x41}}, {0x1020, 0x10, {0x42}}, {0x2000, 8, {0x43}}});
    for (const auto& [offset, opcode] : {std::pair{0x1000, 0x41},
                                         {0x101f, 0x41},
                                         {0x1020, 0x42},
                                         {0x102f, 0x42},
                                         {0x2000, 0x43},
                                         {0x2007, 0x43}}) {
        FrameDescription description;
        ASSERT_TRUE(finds(table, offset, description)) << offset;
        ASSERT_EQ(description.program.end - description.program.begin, 1);
        EXPECT_EQ(*description.program.begin, opcode);
        EXPECT_EQ(description.code_alignment, 1u);
        EXPECT_EQ(description.data_alignment, -8);
        EXPECT_EQ(description.return_column, 16);
        EXPECT_FALSE(description.is_signal_frame);
    }
}

TEST(EhFrame, finds_nothing_between_functions) {
    const TableBytes table({{0x1000, 0x20, {}}, {0x2000, 8, {}}});
    for (const uint64_t offset : {0x0, 0xfff, 0x1020, 0x1fff, 0x2008, 0x7fffffff})
        EXPECT_FALSE(finds(table, offset));
}

TEST(EhFrame, reads_the_signal_frame_mark) {
    const TableBytes table({{0x1000, 0x20, {}}}, "zRS");
    FrameDescription description;
    ASSERT_TRUE(finds(table, 0x1000, description));
    EXPECT_TRUE(description.is_signal_frame);
}

TEST(EhFrame, refuses_augmentations_that_it_does_not_know) {
    EXPECT_FALSE(finds(TableBytes({{0x1000, 0x20, {}}}, "zRX"), 0x1000));
    EXPECT_FALSE(finds(TableBytes({{0x1000, 0x20, {}}}, "eh"), 0x1000));
}

TEST(EhFrame, refuses_a_table_that_is_longer_than_the_module) {
    TableBytes table({{0x1000, 0x20, {}}});
    for (int i = 8; i < 12; ++i) table.bytes()[i] = 0xff;
    EXPECT_FALSE(finds(table, 0x1000));
}

TEST(EhFrame, refuses_entries_outside_the_module) {
    for (const uint32_t entry : {0x7fffffffu, 0x80000000u, 0xfffffff0u, 0x100u}) {
        TableBytes table({{0x1000, 0x20, {}}});
        for (int i = 0; i < 4; ++i) table.bytes()[16 + i] = static_cast<uint8_t>(entry >> (8 * i));
        EXPECT_FALSE(finds(table, 0x1000)) << entry;
    }
}

TEST(EhFrame, refuses_a_common_entry_outside_the_module) {
    TableBytes table({{0x1000, 0x20, {}}});
    uint8_t* entry = table.bytes().data() + table.bytes()[16];
    for (int i = 4; i < 8; ++i) entry[i] = 0x7f;
    EXPECT_FALSE(finds(table, 0x1000));
}

TEST(EhFrame, refuses_other_table_formats) {
    for (const int at : {0, 2, 3}) {
        TableBytes table({{0x1000, 0x20, {}}});
        table.bytes()[at] = kPointerOmitted;
        EXPECT_FALSE(finds(table, 0x1000)) << at;
    }
}

TEST(EhFrame, has_nothing_for_a_module_without_a_table) {
    const TableBytes table({{0x1000, 0x20, {}}});
    Module module = table.module();
    module.eh_frame_header = nullptr;
    FrameDescription description;
    EXPECT_FALSE(find_frame_description(module, table.base() + 0x1000, description));
}

TEST(EhFrame, finds_this_function_in_the_running_program) {
    const auto address = reinterpret_cast<uint64_t>(__builtin_return_address(0));
    Module module;
    FrameDescription description;
    ASSERT_TRUE(find_module(address, module));
    ASSERT_TRUE(find_frame_description(module, address - 1, description));
    EXPECT_LT(description.function, address);
    EXPECT_FALSE(find_module(reinterpret_cast<uint64_t>(&module), module)) << "the stack is no module";
}

}  // namespace
}  // namespace offheap::unwind
