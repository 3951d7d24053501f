// Reads what DWARF's sections are made of. Nothing is read beyond a section's end: there the reader stops
// being good, and gives zeros.
#pragma once

#include <stdint.h>

#include <string_view>

#include "native/lines/sections.h"

namespace offheap::lines {

class DwarfReader {
  public:
    DwarfReader(Bytes bytes, uint64_t at) : bytes_(bytes), at_(at), good_(at <= bytes.size()) {}

    bool good() const { return good_; }
    uint64_t position() const { return at_; }
    uint8_t u8() { return static_cast<uint8_t>(fixed(1)); }
    // Little-endian, of 1 to 8 bytes.
    uint64_t fixed(uint64_t bytes);
    uint64_t uleb();
    void skip(uint64_t bytes);
    // To the zero byte, which is read with it.
    std::string_view text();

  private:
    Bytes bytes_;
    uint64_t at_;
    bool good_;
};

// 0 and empty where they lie outside.
uint64_t number_at(Bytes bytes, uint64_t at, uint64_t count);
std::string_view text_at(Bytes bytes, uint64_t at);

// The sizes by which a unit writes its values.
struct UnitFormat {
    uint16_t version = 0;
    uint64_t address_bytes = 8;
    uint64_t offset_bytes = 4;
};

// What a value means.
enum class Form {
    kNone,
    kOther,
    kNumber,
    kAddress,
    kAddressIndex,
    kString,
    kStringOffset,
    kLineStringOffset,
    kStringIndex,
    kSectionOffset,
    kRangeListIndex,
};

struct Value {
    Form form = Form::kNone;
    uint64_t number = 0;
    std::string_view text;
};

// DW_FORM_implicit_const: its value stands with the abbreviation.
inline constexpr uint64_t kImplicitConstant = 0x21;

// Reads one value by the number of its form. An unknown form ends the reading.
Value read_value(DwarfReader& reader, uint64_t form, uint64_t implicit, const UnitFormat& format);

}  // namespace offheap::lines
