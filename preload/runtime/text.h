// Text without libc: what a hook or the start-up needs of strings.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace offheap::runtime {

inline size_t text_length(const char* text) {
    size_t length = 0;
    while (text[length] != 0) ++length;
    return length;
}

inline bool text_equal(const char* a, const char* b) {
    while (*a != 0 && *a == *b) ++a, ++b;
    return *a == *b;
}

inline bool text_starts(const char* text, const char* prefix) {
    while (*prefix != 0 && *text == *prefix) ++text, ++prefix;
    return *prefix == 0;
}

inline const char* base_name(const char* path) {
    const char* base = path;
    for (const char* p = path; *p != 0; ++p) {
        if (*p == '/') base = p + 1;
    }
    return base;
}

// Decimal or, with a 0x prefix, hexadecimal; false when anything else stands there or it is too large.
inline bool parse_number(const char* text, uint64_t* value) {
    uint64_t result = 0;
    unsigned base = 10;
    if (text[0] == '0' && text[1] == 'x') base = 16, text += 2;
    if (*text == 0) return false;
    for (; *text != 0; ++text) {
        unsigned digit;
        if (*text >= '0' && *text <= '9') {
            digit = static_cast<unsigned>(*text - '0');
        } else if (base == 16 && *text >= 'a' && *text <= 'f') {
            digit = static_cast<unsigned>(*text - 'a') + 10;
        } else {
            return false;
        }
        if (__builtin_mul_overflow(result, base, &result) || __builtin_add_overflow(result, digit, &result))
            return false;
    }
    *value = result;
    return true;
}

// Appends to a fixed buffer; what doesn't fit is dropped and `complete()` says so.
class TextWriter {
  public:
    TextWriter(char* buffer, size_t capacity) : buffer_(buffer), capacity_(capacity) { buffer_[0] = 0; }

    TextWriter& text(const char* value) {
        for (; *value != 0; ++value) put(*value);
        return *this;
    }

    TextWriter& decimal(uint64_t value) {
        char digits[20];
        size_t count = 0;
        do digits[count++] = static_cast<char>('0' + value % 10);
        while ((value /= 10) != 0);
        while (count > 0) put(digits[--count]);
        return *this;
    }

    TextWriter& hexadecimal(uint64_t value) {  // always 16 digits
        for (int shift = 60; shift >= 0; shift -= 4) put("0123456789abcdef"[(value >> shift) & 15]);
        return *this;
    }

    size_t length() const { return length_; }
    bool complete() const { return complete_; }

  private:
    void put(char c) {
        if (length_ + 1 >= capacity_) {
            complete_ = false;
            return;
        }
        buffer_[length_++] = c;
        buffer_[length_] = 0;
    }

    char* buffer_;
    size_t capacity_;
    size_t length_ = 0;
    bool complete_ = true;
};

}  // namespace offheap::runtime
