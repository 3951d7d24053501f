#include "native/lines/unit_folders.h"

#include <algorithm>

#include "native/lines/dwarf_reader.h"

namespace offheap::lines {
namespace {

enum Attribute : uint64_t {
    kLowPc = 0x11,
    kHighPc = 0x12,
    kCompileFolder = 0x1b,
    kRanges = 0x55,
    kStringOffsetsBase = 0x72,
    kAddressBase = 0x73,
    kRangeListsBase = 0x74,
    kGnuRangesBase = 0x2132,
    kGnuAddressBase = 0x2133,
};

enum UnitType : uint8_t {
    kCompile = 1,
    kType = 2,
    kPartial = 3,
    kSkeleton = 4,
    kSplitCompile = 5,
    kSplitType = 6
};

constexpr uint64_t kMostRangesOfUnit = 1 << 20;

struct Tables {
    Bytes information;
    Bytes abbreviations;
    Bytes strings;
    Bytes line_strings;
    Bytes string_offsets;
    Bytes addresses;
    Bytes ranges;
    Bytes range_lists;
};

struct Unit {
    UnitFormat format;
    Value folder;
    Value low;
    Value high;
    Value ranges;
    uint64_t string_offsets_base = 0;
    uint64_t address_base = 0;
    uint64_t range_lists_base = 0;
};

std::string_view text_of(const Unit& unit, const Tables& tables) {
    const auto [form, number, text] = unit.folder;
    if (form == Form::kString) return text;
    if (form == Form::kStringOffset) return text_at(tables.strings, number);
    if (form == Form::kLineStringOffset) return text_at(tables.line_strings, number);
    if (form != Form::kStringIndex) return {};
    const uint64_t at = unit.string_offsets_base + number * unit.format.offset_bytes;
    return text_at(tables.strings, number_at(tables.string_offsets, at, unit.format.offset_bytes));
}

uint64_t address_of(const Unit& unit, const Tables& tables, const Value& value) {
    if (value.form != Form::kAddressIndex) return value.number;
    const uint64_t bytes = unit.format.address_bytes;
    return number_at(tables.addresses, unit.address_base + value.number * bytes, bytes);
}

// Calls `add` with each range of a unit of DWARF 2 to 4.
template <typename Add>
void old_ranges(const Unit& unit, const Tables& tables, Add add) {
    DwarfReader reader(tables.ranges, unit.ranges.number);
    const uint64_t bytes = unit.format.address_bytes;
    const uint64_t highest = bytes == 8 ? UINT64_MAX : UINT32_MAX;
    uint64_t base = unit.low.form == Form::kNone ? 0 : address_of(unit, tables, unit.low);
    for (uint64_t left = kMostRangesOfUnit; left > 0; --left) {
        const uint64_t low = reader.fixed(bytes);
        const uint64_t high = reader.fixed(bytes);
        if (!reader.good() || (low == 0 && high == 0)) return;
        if (low == highest)
            base = high;
        else
            add(base + low, base + high);
    }
}

template <typename Add>
void new_ranges(const Unit& unit, const Tables& tables, Add add) {
    uint64_t at = unit.ranges.number;
    if (unit.ranges.form == Form::kRangeListIndex) {
        const uint64_t bytes = unit.format.offset_bytes;
        at = unit.range_lists_base + number_at(tables.range_lists, unit.range_lists_base + at * bytes, bytes);
    }
    DwarfReader reader(tables.range_lists, at);
    const uint64_t bytes = unit.format.address_bytes;
    const auto indexed = [&](uint64_t index) {
        return number_at(tables.addresses, unit.address_base + index * bytes, bytes);
    };
    uint64_t base = unit.low.form == Form::kNone ? 0 : address_of(unit, tables, unit.low);
    for (uint64_t left = kMostRangesOfUnit; left > 0 && reader.good(); --left) {
        uint64_t low = 0;
        uint64_t high = 0;
        switch (reader.u8()) {
            case 1:
                base = indexed(reader.uleb());
                continue;
            case 2:
                low = indexed(reader.uleb());
                high = indexed(reader.uleb());
                break;
            case 3:
                low = indexed(reader.uleb());
                high = low + reader.uleb();
                break;
            case 4:
                low = base + reader.uleb();
                high = base + reader.uleb();
                break;
            case 5:
                base = reader.fixed(bytes);
                continue;
            case 6:
                low = reader.fixed(bytes);
                high = reader.fixed(bytes);
                break;
            case 7:
                low = reader.fixed(bytes);
                high = low + reader.uleb();
                break;
            default:
                return;
        }
        if (reader.good()) add(low, high);
    }
}

// Where in the abbreviations an entry's attributes are listed; false where they aren't.
bool find_abbreviation(DwarfReader& reader, uint64_t code) {
    while (reader.good()) {
        const uint64_t found = reader.uleb();
        if (found == 0) return false;
        reader.uleb();  // tag
        reader.u8();    // has children
        if (found == code) return reader.good();
        for (;;) {
            const uint64_t name = reader.uleb();
            const uint64_t form = reader.uleb();
            if (form == kImplicitConstant) reader.uleb();
            if (!reader.good() || (name == 0 && form == 0)) break;
        }
    }
    return false;
}

// The attributes of a unit's first entry that say what it covers; false where they can't be read.
bool read_first_entry(DwarfReader& reader, uint64_t abbreviations_at, const Tables& tables, Unit& unit) {
    DwarfReader abbreviation(tables.abbreviations, abbreviations_at);
    if (!find_abbreviation(abbreviation, reader.uleb())) return false;
    for (;;) {
        const uint64_t name = abbreviation.uleb();
        const uint64_t form = abbreviation.uleb();
        const uint64_t implicit = form == kImplicitConstant ? abbreviation.uleb() : 0;
        if (!abbreviation.good()) return false;
        if (name == 0 && form == 0) return true;
        const Value value = read_value(reader, form, implicit, unit.format);
        if (!reader.good()) return false;
        switch (name) {
            case kCompileFolder:
                unit.folder = value;
                break;
            case kLowPc:
                unit.low = value;
                break;
            case kHighPc:
                unit.high = value;
                break;
            case kRanges:
                unit.ranges = value;
                break;
            case kStringOffsetsBase:
                unit.string_offsets_base = value.number;
                break;
            case kAddressBase:
            case kGnuAddressBase:
                unit.address_base = value.number;
                break;
            case kRangeListsBase:
                unit.range_lists_base = value.number;
                break;
            default:
                break;
        }
    }
}

}  // namespace

UnitFolders::UnitFolders(const Sections& sections) {
    const Tables tables = {
        sections.find(".debug_info"),     sections.find(".debug_abbrev"),      sections.find(".debug_str"),
        sections.find(".debug_line_str"), sections.find(".debug_str_offsets"), sections.find(".debug_addr"),
        sections.find(".debug_ranges"),   sections.find(".debug_rnglists"),
    };
    for (uint64_t at = 0; at < tables.information.size();) {
        DwarfReader reader(tables.information, at);
        Unit unit;
        uint64_t bytes = reader.fixed(4);
        if (bytes == 0xffffffff) {
            bytes = reader.fixed(8);
            unit.format.offset_bytes = 8;
        }
        const uint64_t end = reader.position() + bytes;
        if (!reader.good() || end <= at || end > tables.information.size()) break;
        at = end;
        unit.format.version = static_cast<uint16_t>(reader.fixed(2));
        uint64_t abbreviations_at = 0;
        if (unit.format.version >= 5) {
            const uint8_t type = reader.u8();
            unit.format.address_bytes = reader.u8();
            abbreviations_at = reader.fixed(unit.format.offset_bytes);
            if (type == kSkeleton || type == kSplitCompile) reader.fixed(8);
            if (type == kType || type == kSplitType) continue;
            // Where the bases aren't named they follow a header at the table's beginning.
            unit.string_offsets_base = unit.address_base = unit.format.offset_bytes == 8 ? 16 : 8;
        } else {
            abbreviations_at = reader.fixed(unit.format.offset_bytes);
            unit.format.address_bytes = reader.u8();
        }
        if (unit.format.address_bytes != 8 && unit.format.address_bytes != 4) continue;
        if (!read_first_entry(reader, abbreviations_at, tables, unit)) continue;
        const std::string_view folder = text_of(unit, tables);
        if (folder.empty()) continue;
        const auto add = [&](uint64_t low, uint64_t high) {
            if (low < high) ranges_.push_back({low, high, 0, folder});
        };
        if (unit.ranges.form != Form::kNone) {
            if (unit.format.version >= 5)
                new_ranges(unit, tables, add);
            else
                old_ranges(unit, tables, add);
        } else if (unit.low.form != Form::kNone && unit.high.form != Form::kNone) {
            const uint64_t low = address_of(unit, tables, unit.low);
            const bool is_address = unit.high.form == Form::kAddress || unit.high.form == Form::kAddressIndex;
            add(low, is_address ? address_of(unit, tables, unit.high) : low + unit.high.number);
        }
    }
    std::stable_sort(ranges_.begin(), ranges_.end(), [](auto& a, auto& b) { return a.low < b.low; });
    uint64_t highest = 0;
    for (Range& range : ranges_) highest = range.highest = std::max(highest, range.high);
}

std::string_view UnitFolders::folder_of(uint64_t file_address) const {
    auto at = std::upper_bound(ranges_.begin(), ranges_.end(), file_address,
                               [](uint64_t address, const Range& range) { return address < range.low; });
    while (at != ranges_.begin()) {
        --at;
        if (file_address < at->high) return at->folder;
        if (at->highest <= file_address) break;
    }
    return {};
}

}  // namespace offheap::lines
