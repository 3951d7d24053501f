#include "native/addon/unwind_ranges.h"

#include <string.h>

#include <unordered_map>

namespace offheap::addon {
namespace {

// DW_EH_PE_*: how pointers are written.
constexpr uint8_t kOmitted = 0xff;
constexpr uint8_t kFormat = 0x0f;
constexpr uint8_t kApplication = 0x70;
constexpr uint8_t kAbsolute = 0x00;
constexpr uint8_t kRelativeToPlace = 0x10;
constexpr uint8_t kIndirect = 0x80;

// Reads on from a place, and stops for good at the end.
class Reader {
  public:
    Reader(std::span<const uint8_t> bytes, size_t at) : bytes_(bytes), at_(at) {}

    size_t at() const { return at_; }
    bool failed() const { return failed_; }

    template <typename T>
    T read() {
        T value{};
        if (failed_ || bytes_.size() - at_ < sizeof(T)) {
            failed_ = true;
            return value;
        }
        memcpy(&value, bytes_.data() + at_, sizeof(T));
        at_ += sizeof(T);
        return value;
    }

    uint64_t read_leb128() {
        uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            const uint8_t byte = read<uint8_t>();
            value |= static_cast<uint64_t>(byte & 0x7f) << shift;
            if ((byte & 0x80) == 0) return value;
        }
        failed_ = true;
        return value;
    }

    // A number in the format of a pointer encoding, sign-extended where that says so.
    uint64_t read_encoded(uint8_t encoding) {
        switch (encoding & kFormat) {
            case 0x00:
                return read<uint64_t>();
            case 0x01:
                return read_leb128();
            case 0x02:
                return read<uint16_t>();
            case 0x03:
                return read<uint32_t>();
            case 0x04:
                return read<uint64_t>();
            case 0x0a:
                return static_cast<uint64_t>(int64_t{read<int16_t>()});
            case 0x0b:
                return static_cast<uint64_t>(int64_t{read<int32_t>()});
            case 0x0c:
                return read<uint64_t>();
            default:
                failed_ = true;
                return 0;
        }
    }

  private:
    std::span<const uint8_t> bytes_;
    size_t at_;
    bool failed_ = false;
};

// How the entries of a common information entry, whose content begins at `at`, write addresses; kOmitted
// where that can't be told.
uint8_t address_encoding(std::span<const uint8_t> section, size_t at) {
    Reader reader(section, at);
    const uint8_t version = reader.read<uint8_t>();
    char augmentation[8] = {};
    for (size_t length = 0;; ++length) {
        const char letter = reader.read<char>();
        if (letter == 0) break;
        if (reader.failed() || length + 1 >= sizeof augmentation) return kOmitted;
        augmentation[length] = letter;
    }
    if (augmentation[0] == 0) return kAbsolute;
    if (augmentation[0] != 'z') return kOmitted;
    reader.read_leb128();  // alignment of code
    reader.read_leb128();  // and of data
    if (version == 1) {
        reader.read<uint8_t>();
    } else {
        reader.read_leb128();
    }
    reader.read_leb128();  // length of the augmentation's content
    uint8_t encoding = kAbsolute;
    for (const char* letter = augmentation + 1; *letter != 0; ++letter) {
        if (*letter == 'R') {
            encoding = reader.read<uint8_t>();
        } else if (*letter == 'P') {
            reader.read_encoded(reader.read<uint8_t>());
        } else if (*letter == 'L') {
            reader.read<uint8_t>();
        } else if (*letter != 'S' && *letter != 'B') {
            return kOmitted;
        }
    }
    return reader.failed() ? kOmitted : encoding;
}

}  // namespace

std::vector<AddressRange> unwind_ranges(std::span<const uint8_t> section, uint64_t address) {
    std::vector<AddressRange> ranges;
    std::unordered_map<size_t, uint8_t> encodings;
    ranges.reserve(section.size() / 48);
    // Most entries share the one before's.
    size_t latest = SIZE_MAX;
    uint8_t encoding = kOmitted;
    for (size_t at = 0;;) {
        Reader reader(section, at);
        uint64_t length = reader.read<uint32_t>();
        if (length == UINT32_MAX) length = reader.read<uint64_t>();
        // Zero is the terminator, but linkers leave some of their inputs' in the middle.
        if (reader.failed() || length > section.size() - reader.at()) return ranges;
        const size_t content = reader.at();
        const size_t next = content + length;
        at = next;
        if (length < 4) continue;
        const uint32_t back = reader.read<uint32_t>();
        if (back == 0) {
            encodings.emplace(content, address_encoding(section, reader.at()));
            continue;
        }
        if (back > content) continue;
        // The distance leads to the entry's length field; its content begins behind that.
        if (const size_t common = content - back + 4; common != latest) {
            latest = common;
            const auto known = encodings.find(common);
            encoding = known == encodings.end() ? kOmitted : known->second;
        }
        if (encoding == kOmitted || (encoding & kIndirect) != 0) continue;
        const uint64_t place = address + reader.at();
        uint64_t start = reader.read_encoded(encoding);
        const uint8_t application = encoding & kApplication;
        if (application == kRelativeToPlace) {
            start += place;
        } else if (application != kAbsolute) {
            continue;
        }
        const uint64_t bytes = reader.read_encoded(encoding & kFormat);
        if (reader.failed() || reader.at() > next || bytes == 0 || start + bytes < start) continue;
        ranges.push_back({start, start + bytes});
    }
}

}  // namespace offheap::addon
