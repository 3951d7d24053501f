#include "native/lines/dwarf_reader.h"

#include <string.h>

namespace offheap::lines {

uint64_t DwarfReader::fixed(uint64_t bytes) {
    if (!good_ || bytes > bytes_.size() - at_) {
        good_ = false;
        return 0;
    }
    uint64_t value = 0;
    for (uint64_t i = 0; i < bytes; ++i) value |= static_cast<uint64_t>(bytes_[at_ + i]) << (8 * i);
    at_ += bytes;
    return value;
}

uint64_t DwarfReader::uleb() {
    uint64_t value = 0;
    for (unsigned shift = 0; good_; shift += 7) {
        const uint8_t byte = u8();
        if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
    return 0;
}

void DwarfReader::skip(uint64_t bytes) {
    if (!good_ || bytes > bytes_.size() - at_)
        good_ = false;
    else
        at_ += bytes;
}

std::string_view DwarfReader::text() {
    if (!good_) return {};
    const std::string_view value = text_at(bytes_, at_);
    skip(value.size() + 1);
    return value;
}

uint64_t number_at(Bytes bytes, uint64_t at, uint64_t count) { return DwarfReader(bytes, at).fixed(count); }

std::string_view text_at(Bytes bytes, uint64_t at) {
    if (at >= bytes.size()) return {};
    const auto* start = reinterpret_cast<const char*>(bytes.data() + at);
    return {start, strnlen(start, bytes.size() - at)};
}

Value read_value(DwarfReader& reader, uint64_t form, uint64_t implicit, const UnitFormat& format) {
    const auto skipped = [&](uint64_t bytes) {
        reader.skip(bytes);
        return Value{Form::kOther, 0, {}};
    };
    const auto number = [&](Form means, uint64_t value) { return Value{means, value, {}}; };
    switch (form) {
        case 0x01:
            return number(Form::kAddress, reader.fixed(format.address_bytes));
        case 0x03:
            return skipped(reader.fixed(2));  // block2
        case 0x04:
            return skipped(reader.fixed(4));  // block4
        case 0x05:
            return number(Form::kNumber, reader.fixed(2));  // data2
        case 0x06:
            return number(Form::kNumber, reader.fixed(4));  // data4
        case 0x07:
            return number(Form::kNumber, reader.fixed(8));  // data8
        case 0x08:
            return {Form::kString, 0, reader.text()};  // string
        case 0x09:
            return skipped(reader.uleb());  // block
        case 0x0a:
            return skipped(reader.u8());  // block1
        case 0x0b:
            return number(Form::kNumber, reader.u8());  // data1
        case 0x0c:
            return number(Form::kNumber, reader.u8());  // flag
        case 0x0d:
            return number(Form::kNumber, reader.uleb());  // sdata: not negative for what is asked
        case 0x0e:
            return number(Form::kStringOffset, reader.fixed(format.offset_bytes));
        case 0x0f:
            return number(Form::kNumber, reader.uleb());  // udata
        case 0x10:
            return skipped(format.version <= 2 ? format.address_bytes : format.offset_bytes);
        case 0x11:
            return skipped(1);  // ref1
        case 0x12:
            return skipped(2);  // ref2
        case 0x13:
            return skipped(4);  // ref4
        case 0x14:
            return skipped(8);  // ref8
        case 0x15:
            return number(Form::kOther, reader.uleb());  // ref_udata
        case 0x16: {                                     // indirect
            const uint64_t real = reader.uleb();
            return real == form ? skipped(UINT64_MAX) : read_value(reader, real, 0, format);
        }
        case 0x17:
            return number(Form::kSectionOffset, reader.fixed(format.offset_bytes));
        case 0x18:
            return skipped(reader.uleb());  // exprloc
        case 0x19:
            return number(Form::kNumber, 1);  // flag_present
        case 0x1a:
            return number(Form::kStringIndex, reader.uleb());  // strx
        case 0x1b:
            return number(Form::kAddressIndex, reader.uleb());  // addrx
        case 0x1c:
            return skipped(4);  // ref_sup4
        case 0x1d:
            return skipped(format.offset_bytes);  // strp_sup
        case 0x1e:
            return skipped(16);  // data16
        case 0x1f:
            return number(Form::kLineStringOffset, reader.fixed(format.offset_bytes));
        case 0x20:
            return skipped(8);  // ref_sig8
        case kImplicitConstant:
            return number(Form::kNumber, implicit);
        case 0x22:
            return number(Form::kOther, reader.uleb());  // loclistx
        case 0x23:
            return number(Form::kRangeListIndex, reader.uleb());  // rnglistx
        case 0x24:
            return skipped(8);  // ref_sup8
        case 0x25:
            return number(Form::kStringIndex, reader.fixed(1));  // strx1
        case 0x26:
            return number(Form::kStringIndex, reader.fixed(2));
        case 0x27:
            return number(Form::kStringIndex, reader.fixed(3));
        case 0x28:
            return number(Form::kStringIndex, reader.fixed(4));
        case 0x29:
            return number(Form::kAddressIndex, reader.fixed(1));  // addrx1
        case 0x2a:
            return number(Form::kAddressIndex, reader.fixed(2));
        case 0x2b:
            return number(Form::kAddressIndex, reader.fixed(3));
        case 0x2c:
            return number(Form::kAddressIndex, reader.fixed(4));
        case 0x1f01:
            return number(Form::kAddressIndex, reader.uleb());  // GNU_addr_index
        case 0x1f02:
            return number(Form::kStringIndex, reader.uleb());  // GNU_str_index
        case 0x1f20:
            return skipped(format.offset_bytes);  // GNU_ref_alt
        case 0x1f21:
            return skipped(format.offset_bytes);  // GNU_strp_alt
        default:
            return skipped(UINT64_MAX);
    }
}

}  // namespace offheap::lines
