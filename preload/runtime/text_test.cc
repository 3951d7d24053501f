#include "preload/runtime/text.h"

#include <gtest/gtest.h>

#include <string>

namespace offheap::runtime {
namespace {

TEST(Text, compares) {
    EXPECT_EQ(text_length(""), 0u);
    EXPECT_EQ(text_length("abc"), 3u);
    EXPECT_TRUE(text_equal("", ""));
    EXPECT_TRUE(text_equal("ab", "ab"));
    EXPECT_FALSE(text_equal("ab", "abc"));
    EXPECT_FALSE(text_equal("abc", "ab"));
    EXPECT_TRUE(text_starts("abc", "ab"));
    EXPECT_TRUE(text_starts("abc", ""));
    EXPECT_FALSE(text_starts("ab", "abc"));
}

TEST(Text, takes_the_base_name) {
    EXPECT_STREQ(base_name("/usr/lib/libc.so.6"), "libc.so.6");
    EXPECT_STREQ(base_name("libc.so.6"), "libc.so.6");
    EXPECT_STREQ(base_name("/usr/lib/"), "");
    EXPECT_STREQ(base_name(""), "");
}

TEST(Text, parses_numbers_that_fill_the_text) {
    uint64_t value = 0;
    EXPECT_TRUE(parse_number("0", &value));
    EXPECT_EQ(value, 0u);
    EXPECT_TRUE(parse_number("1234567890123", &value));
    EXPECT_EQ(value, 1234567890123u);
    EXPECT_TRUE(parse_number("0xdeadbeef", &value));
    EXPECT_EQ(value, 0xdeadbeefu);
    EXPECT_TRUE(parse_number("18446744073709551615", &value));
    EXPECT_EQ(value, ~0ULL);
}

TEST(Text, refuses_what_is_no_number_and_keeps_the_value) {
    for (const char* text : {"", "0x", "12a", " 1", "1 ", "-1", "+1", "0xfg", "0X10", "1.5",
                             "18446744073709551616", "0x10000000000000000", "99999999999999999999999999"}) {
        uint64_t value = 7;
        EXPECT_FALSE(parse_number(text, &value)) << text;
        EXPECT_EQ(value, 7u) << text;
    }
}

TEST(TextWriter, appends) {
    char buffer[64];
    TextWriter writer(buffer, sizeof buffer);
    writer.text("a=").decimal(0).text(" b=").decimal(~0ULL).text(" c=").hexadecimal(0xbeef);
    EXPECT_STREQ(buffer, "a=0 b=18446744073709551615 c=000000000000beef");
    EXPECT_EQ(writer.length(), text_length(buffer));
    EXPECT_TRUE(writer.complete());
}

TEST(TextWriter, stops_at_the_end_of_its_buffer) {
    char buffer[8];
    buffer[5] = 'x';
    TextWriter writer(buffer, 5);
    writer.text("abcd");
    EXPECT_TRUE(writer.complete());
    writer.text("e");
    EXPECT_FALSE(writer.complete());
    EXPECT_STREQ(buffer, "abcd");
    EXPECT_EQ(buffer[5], 'x');
}

}  // namespace
}  // namespace offheap::runtime
