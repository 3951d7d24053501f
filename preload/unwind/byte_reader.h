// Reads DWARF's primitive values from bytes that are not to be trusted.
#pragma once

#include <stdint.h>

namespace offheap::unwind {

struct Bytes {
    const uint8_t* begin;
    const uint8_t* end;

    bool contains(const uint8_t* at) const { return at >= begin && at < end; }
};

// How .eh_frame encodes a pointer: the format in the low nibble, its base in the next three bits.
inline constexpr uint8_t kPointerOmitted = 0xff;
inline constexpr uint8_t kPointerIndirect = 0x80;
inline constexpr uint8_t kPointerBaseMask = 0x70;
inline constexpr uint8_t kPointerFromHere = 0x10;
inline constexpr uint8_t kPointerFromHeader = 0x30;

// A read past the end yields 0 and makes `ok()` false for good, so callers check once, at the end.
class ByteReader {
  public:
    explicit ByteReader(Bytes bytes) : at_(bytes.begin), end_(bytes.end) {}

    bool ok() const { return ok_; }
    bool at_end() const { return at_ >= end_; }
    const uint8_t* at() const { return at_; }
    uint64_t left() const { return static_cast<uint64_t>(end_ - at_); }

    uint8_t u8() { return fixed<uint8_t>(); }
    uint16_t u16() { return fixed<uint16_t>(); }
    uint32_t u32() { return fixed<uint32_t>(); }
    uint64_t u64() { return fixed<uint64_t>(); }

    // Takes the next bytes; empty, and the reader failed, if there are fewer.
    Bytes take(uint64_t bytes) {
        if (bytes > left()) {
            fail();
            return {end_, end_};
        }
        const uint8_t* begin = at_;
        at_ += bytes;
        return {begin, at_};
    }

    uint64_t uleb() {
        uint64_t value = 0;
        for (uint32_t shift = 0;; shift += 7) {
            const uint8_t byte = u8();
            if (shift < 64) value |= uint64_t{byte & 0x7fu} << shift;
            if ((byte & 0x80) == 0) return value;
        }
    }

    int64_t sleb() {
        uint64_t value = 0;
        for (uint32_t shift = 0;;) {
            const uint8_t byte = u8();
            if (shift < 64) value |= uint64_t{byte & 0x7fu} << shift;
            shift += 7;
            if ((byte & 0x80) != 0) continue;
            if (shift < 64 && (byte & 0x40) != 0) value |= ~uint64_t{0} << shift;
            return static_cast<int64_t>(value);
        }
    }

    // A value in the format of `encoding`, without its base.
    uint64_t pointer_value(uint8_t encoding) {
        switch (encoding & 0x0f) {
            case 0x00:
            case 0x04:
            case 0x0c:
                return u64();
            case 0x01:
                return uleb();
            case 0x02:
                return u16();
            case 0x03:
                return u32();
            case 0x09:
                return static_cast<uint64_t>(sleb());
            case 0x0a:
                return static_cast<uint64_t>(int64_t{static_cast<int16_t>(u16())});
            case 0x0b:
                return static_cast<uint64_t>(int64_t{static_cast<int32_t>(u32())});
            default:
                fail();
                return 0;
        }
    }

    // An encoded address; `header` is the base of header-relative ones. Indirect pointers are refused:
    // following them would read memory outside the table.
    uint64_t pointer(uint8_t encoding, const uint8_t* header) {
        const uint64_t here = reinterpret_cast<uint64_t>(at_);
        const uint64_t value = pointer_value(encoding);
        if ((encoding & kPointerIndirect) != 0) fail();
        switch (encoding & kPointerBaseMask) {
            case 0:
                return value;
            case kPointerFromHere:
                return here + value;
            case kPointerFromHeader:
                return reinterpret_cast<uint64_t>(header) + value;
            default:
                fail();
                return 0;
        }
    }

    void fail() {
        ok_ = false;
        at_ = end_;
    }

  private:
    template <typename T>
    T fixed() {
        // Byte by byte: DWARF aligns nothing, and memcpy may not be called here.
        if (left() < sizeof(T)) {
            fail();
            return 0;
        }
        T value = 0;
        for (uint32_t i = 0; i < sizeof(T); ++i)
            value = static_cast<T>(value | static_cast<T>(T{at_[i]} << (8 * i)));
        at_ += sizeof(T);
        return value;
    }

    const uint8_t* at_;
    const uint8_t* end_;
    bool ok_ = true;
};

}  // namespace offheap::unwind
