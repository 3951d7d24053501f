// The pipe's messages: a length in 4 bytes, then as many bytes; all numbers are little-endian.
// src/symbolize/lines/ worker-message.ts is the other end.
//
//   request: text path, text identity, text alternate name, text alternate path, text alternate identity,
//            count (4), count file addresses (8 each)
//   answer:  1, text reason                                          where nothing can be said, or
//            0, text problem, resident bytes (8), number of texts (4), the texts,
//            number of frames (4), frames of function, file (texts from 1, 0: unknown) and line (4 each),
//            number of chains (4), chains of their length and so many frames (4 each), leaf first,
//            count (4), the chain of each address (4 each)
//   text:    length (4), bytes
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <string>
#include <string_view>
#include <vector>

namespace offheap::lines {

inline constexpr size_t kLongestRequestBytes = 4 << 20;
inline constexpr size_t kLongestAnswerBytes = 256 << 20;

// Reads one message; false at the end of input, and where it is longer than allowed.
bool read_message(int descriptor, std::vector<uint8_t>& message);

// False where nobody reads any more.
bool write_message(int descriptor, const std::vector<uint8_t>& message);

// What is asked for beyond the end of the message is zero or empty, and `complete` false from then on.
class MessageReader {
  public:
    explicit MessageReader(const std::vector<uint8_t>& message)
        : at_(message.data()), end_(at_ + message.size()) {}

    uint32_t u32() { return number<uint32_t>(); }
    uint64_t u64() { return number<uint64_t>(); }
    std::string text();
    bool complete() const { return complete_; }
    size_t bytes_left() const { return static_cast<size_t>(end_ - at_); }

  private:
    template <typename Number>
    Number number();

    const uint8_t* at_;
    const uint8_t* end_;
    bool complete_ = true;
};

class MessageWriter {
  public:
    void u8(uint8_t value) { bytes_.push_back(value); }
    void u32(uint32_t value) { raw(&value, sizeof value); }
    void u64(uint64_t value) { raw(&value, sizeof value); }
    void text(std::string_view value);
    void numbers(const std::vector<uint32_t>& values) {
        raw(values.data(), values.size() * sizeof(uint32_t));
    }
    void append(const std::vector<uint8_t>& bytes) { raw(bytes.data(), bytes.size()); }
    const std::vector<uint8_t>& bytes() const { return bytes_; }

  private:
    void raw(const void* from, size_t count);

    std::vector<uint8_t> bytes_;
};

}  // namespace offheap::lines
