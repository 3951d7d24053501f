// The four functions that the compiler calls by itself, under names that leave this program's own alone.
#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <vector>

#define memcpy offheap_memcpy
#define memmove offheap_memmove
#define memset offheap_memset
#define memcmp offheap_memcmp
#include "preload/runtime/memory.cc"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp

namespace offheap::runtime {
namespace {

std::vector<uint8_t> numbers() {
    std::vector<uint8_t> bytes(64);
    std::iota(bytes.begin(), bytes.end(), uint8_t{1});
    return bytes;
}

TEST(Memory, copies_exactly) {
    for (size_t count = 0; count <= 40; ++count) {
        const std::vector<uint8_t> from = numbers();
        std::vector<uint8_t> to(64);
        EXPECT_EQ(offheap_memcpy(&to[3], &from[5], count), &to[3]);
        for (size_t i = 0; i < 64; ++i) ASSERT_EQ(to[i], i >= 3 && i < 3 + count ? from[i + 2] : 0);
    }
}

TEST(Memory, moves_overlapping_bytes_in_both_directions) {
    for (size_t to = 0; to <= 20; ++to) {
        for (const size_t count : {0u, 1u, 7u, 30u}) {
            const std::vector<uint8_t> before = numbers();
            std::vector<uint8_t> bytes = before;
            EXPECT_EQ(offheap_memmove(&bytes[to], &bytes[10], count), &bytes[to]);
            for (size_t i = 0; i < 64; ++i)
                ASSERT_EQ(bytes[i], i >= to && i < to + count ? before[i - to + 10] : before[i]);
        }
    }
}

TEST(Memory, fills_with_the_low_byte) {
    std::vector<uint8_t> bytes(16);
    EXPECT_EQ(offheap_memset(&bytes[2], 0x1ab, 5), &bytes[2]);
    for (size_t i = 0; i < 16; ++i) EXPECT_EQ(bytes[i], i >= 2 && i < 7 ? 0xab : 0);
}

TEST(Memory, compares_as_unsigned) {
    const uint8_t low[] = {1, 2, 0x7f}, high[] = {1, 2, 0x80};
    EXPECT_LT(offheap_memcmp(low, high, 3), 0);
    EXPECT_GT(offheap_memcmp(high, low, 3), 0);
    EXPECT_EQ(offheap_memcmp(low, high, 2), 0);
    EXPECT_EQ(offheap_memcmp(low, high, 0), 0);
}

}  // namespace
}  // namespace offheap::runtime
