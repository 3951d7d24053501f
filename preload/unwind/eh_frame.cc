#include "preload/unwind/eh_frame.h"

namespace offheap::unwind {
namespace {

constexpr uint8_t kHeaderVersion = 1;
constexpr uint8_t kCountAsU32 = 0x03;
constexpr uint8_t kTableAsS32FromHeader = 0x3b;  // the only format linkers write
constexpr uint64_t kTableEntryBytes = 8;
constexpr uint32_t kLongLength = 0xffffffff;

int32_t s32_at(const uint8_t* at) {
    return static_cast<int32_t>(uint32_t{at[0]} | uint32_t{at[1]} << 8 | uint32_t{at[2]} << 16 |
                                uint32_t{at[3]} << 24);
}

// The entry of the last function that starts at or before the address.
const uint8_t* search(Bytes segment, const uint8_t* header, uint64_t address) {
    ByteReader reader({header, segment.end});
    const uint8_t version = reader.u8();
    const uint8_t frame_encoding = reader.u8();
    const uint8_t count_encoding = reader.u8();
    const uint8_t table_encoding = reader.u8();
    reader.pointer_value(frame_encoding);
    uint64_t count = reader.u32();
    if (!reader.ok() || version != kHeaderVersion || count_encoding != kCountAsU32 ||
        table_encoding != kTableAsS32FromHeader) {
        return nullptr;
    }
    if (count > reader.left() / kTableEntryBytes) return nullptr;
    const uint8_t* table = reader.at();
    const int64_t target = static_cast<int64_t>(address - reinterpret_cast<uint64_t>(header));
    uint64_t first = 0;  // the answer lies in [first - 1, first + count)
    while (count > 0) {
        const uint64_t half = count / 2;
        if (s32_at(table + (first + half) * kTableEntryBytes) <= target) {
            first += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    if (first == 0) return nullptr;
    const int64_t to_entry_bytes = s32_at(table + (first - 1) * kTableEntryBytes + 4);
    return reinterpret_cast<const uint8_t*>(reinterpret_cast<int64_t>(header) + to_entry_bytes);
}

// An entry's bytes behind its length field; empty for the terminator and for 64-bit lengths, which nobody
// writes.
Bytes entry_body(Bytes segment, const uint8_t* entry) {
    const Bytes none{entry, entry};
    if (!segment.contains(entry)) return none;
    ByteReader reader({entry, segment.end});
    const uint32_t length_bytes = reader.u32();
    if (length_bytes == 0 || length_bytes == kLongLength) return none;
    return reader.take(length_bytes);
}

struct CommonEntry {
    uint8_t pointer_encoding;
    bool has_augmentation_data;
};

bool parse_common_entry(Bytes body, CommonEntry& common, FrameDescription& description) {
    ByteReader reader(body);
    const uint32_t id = reader.u32();
    const uint8_t version = reader.u8();
    if (id != 0 || (version != 1 && version != 3)) return false;
    const uint8_t* augmentation = reader.at();
    while (reader.u8() != 0) {
    }
    description.code_alignment = static_cast<uint32_t>(reader.uleb());
    description.data_alignment = static_cast<int32_t>(reader.sleb());
    const uint64_t return_column = version == 1 ? reader.u8() : reader.uleb();
    if (!reader.ok() || return_column > 0xff) return false;
    description.return_column = static_cast<uint8_t>(return_column);
    description.is_signal_frame = false;
    common = {0, false};
    if (*augmentation == 'z') {
        common.has_augmentation_data = true;
        ByteReader data(reader.take(reader.uleb()));
        for (++augmentation; *augmentation != 0; ++augmentation) {
            if (*augmentation == 'R') {
                common.pointer_encoding = data.u8();
            } else if (*augmentation == 'P') {
                data.pointer_value(data.u8());
            } else if (*augmentation == 'L') {
                data.u8();
            } else if (*augmentation == 'S') {
                description.is_signal_frame = true;
            } else if (*augmentation != 'B') {
                return false;
            }
        }
        if (!data.ok()) return false;
    } else if (*augmentation != 0) {
        return false;
    }
    description.common_program = {reader.at(), body.end};
    return reader.ok();
}

}  // namespace

bool find_frame_description(const Module& module, uint64_t address, FrameDescription& description) {
    if (module.eh_frame_header == nullptr) return false;
    Bytes segment = readable_segment(module, module.eh_frame_header);
    const uint8_t* entry = search(segment, module.eh_frame_header, address);
    if (entry == nullptr) return false;
    if (!segment.contains(entry)) segment = readable_segment(module, entry);
    const Bytes body = entry_body(segment, entry);
    ByteReader reader(body);
    const uint8_t* pointer_field = reader.at();
    const uint32_t to_common_entry_bytes = reader.u32();
    if (!reader.ok() || to_common_entry_bytes > static_cast<uint64_t>(pointer_field - segment.begin))
        return false;

    CommonEntry common;
    const Bytes common_body = entry_body(segment, pointer_field - to_common_entry_bytes);
    if (!parse_common_entry(common_body, common, description)) return false;

    description.function = reader.pointer(common.pointer_encoding, module.eh_frame_header);
    const uint64_t function_bytes = reader.pointer_value(common.pointer_encoding);
    description.function_end = description.function + function_bytes;
    if (common.has_augmentation_data) reader.take(reader.uleb());
    description.program = {reader.at(), body.end};
    return reader.ok() && address - description.function < function_bytes;
}

}  // namespace offheap::unwind
