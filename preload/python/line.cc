#include "preload/python/line.h"

namespace offheap::python {
namespace {

uint32_t as_line(int64_t line) { return line > 0 && line < INT32_MAX ? static_cast<uint32_t>(line) : 0; }

// 3.9: how far the next line's instructions begin behind the last one's, and how much it is larger.
uint32_t line_in_lnotab(const uint8_t* bytes, uint64_t count, int64_t line, int64_t instruction) {
    int64_t start = 0;
    for (uint64_t i = 0; i + 1 < count; i += 2) {
        start += bytes[i];
        if (start > instruction) break;
        line += static_cast<int8_t>(bytes[i + 1]);
    }
    return as_line(line);
}

// 3.10: how many bytes of instructions belong to a line, and how much it is larger than the last.
uint32_t line_in_deltas(const uint8_t* bytes, uint64_t count, int64_t line, int64_t instruction) {
    constexpr int8_t kNoLine = -128;
    int64_t end = 0;
    for (uint64_t i = 0; i + 1 < count; i += 2) {
        end += bytes[i];
        const auto delta = static_cast<int8_t>(bytes[i + 1]);
        if (delta != kNoLine) line += delta;
        if (instruction < end) return delta == kNoLine ? 0 : as_line(line);
    }
    return 0;
}

// 3.11: an entry begins with a byte whose highest bit is set: its kind, and how many instructions it is for.
constexpr uint8_t kEntryStart = 0x80;
constexpr uint32_t kShortForms = 10;  // the line is the last one
constexpr uint32_t kLongForm = 14;
constexpr uint32_t kNoColumns = 13;
constexpr uint32_t kNoLocation = 15;

int64_t signed_number_at(const uint8_t* bytes, uint64_t count, uint64_t at) {
    uint64_t value = 0;
    for (uint32_t shift = 0; at < count && shift < 36; ++at, shift += 6) {
        value |= uint64_t{bytes[at] & 0x3fu} << shift;
        if ((bytes[at] & 0x40) == 0) break;
    }
    const auto magnitude = static_cast<int64_t>(value >> 1);
    return (value & 1) != 0 ? -magnitude : magnitude;
}

uint32_t line_in_locations(const uint8_t* bytes, uint64_t count, int64_t line, int64_t instruction) {
    int64_t end = 0;
    for (uint64_t at = 0; at < count;) {
        const uint32_t kind = bytes[at] >> 3 & 15;
        end += 2 * ((bytes[at] & 7) + 1);
        if (kind == kLongForm || kind == kNoColumns) {
            line += signed_number_at(bytes, count, at + 1);
        } else if (kind >= kShortForms && kind < kNoColumns) {
            line += kind - kShortForms;
        }
        if (instruction < end) return kind == kNoLocation ? 0 : as_line(line);
        do ++at;
        while (at < count && (bytes[at] & kEntryStart) == 0);
    }
    return 0;
}

}  // namespace

uint32_t line_at(LineTable table, const uint8_t* bytes, uint64_t count, uint32_t first_line,
                 int64_t instruction) {
    if (instruction < 0) return as_line(first_line);
    switch (table) {
        case LineTable::lnotab:
            return line_in_lnotab(bytes, count, first_line, instruction);
        case LineTable::line_deltas:
            return line_in_deltas(bytes, count, first_line, instruction);
        default:
            return line_in_locations(bytes, count, first_line, instruction);
    }
}

}  // namespace offheap::python
