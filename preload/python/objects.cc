#include "preload/python/objects.h"

#include "preload/python/interpreter.h"
#include "preload/python/readable_pages.h"
#include "preload/unwind/stack_memory.h"

namespace offheap::python {

using unwind::load;

namespace {

// No path or name is longer, and no function's table of lines.
constexpr uint64_t kMostCharacters = 1 << 16;
constexpr uint64_t kMostBytes = 1 << 22;

uint32_t character_at(uint64_t data, uint64_t index, uint32_t kind) {
    const uint64_t address = data + index * kind;
    if (kind == 1) return *reinterpret_cast<const volatile uint8_t*>(address);
    if (kind == 2) return *reinterpret_cast<const volatile uint16_t*>(address);
    return *reinterpret_cast<const volatile uint32_t*>(address);
}

// The number of bytes written, at most four.
uint32_t write_utf8(uint32_t c, char* to) {
    const auto put = [&](uint32_t index, uint32_t byte) { to[index] = static_cast<char>(byte); };
    if (c < 0x80) {
        put(0, c);
        return 1;
    }
    if (c < 0x800) {
        put(0, 0xc0 | c >> 6);
        put(1, 0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        put(0, 0xe0 | c >> 12);
        put(1, 0x80 | (c >> 6 & 0x3f));
        put(2, 0x80 | (c & 0x3f));
        return 3;
    }
    put(0, 0xf0 | (c >> 18 & 7));
    put(1, 0x80 | (c >> 12 & 0x3f));
    put(2, 0x80 | (c >> 6 & 0x3f));
    put(3, 0x80 | (c & 0x3f));
    return 4;
}

}  // namespace

uint32_t read_text(uint64_t object, char* buffer, uint32_t capacity) {
    const Structures& structures = interpreter.structures;
    if (object % 8 != 0 || !readable_pages.contains(object, structures.text_state + 8u)) return 0;
    const uint64_t length = load(object + structures.text_length);
    const uint64_t state = load(object + structures.text_state) >> structures.text_kind_shift;
    const uint32_t kind = state & 7;
    const bool is_compact = (state & 8) != 0;
    const bool is_ascii = (state & 16) != 0;
    if (!is_compact || (kind != 1 && kind != 2 && kind != 4) || length > kMostCharacters) return 0;
    const uint64_t data = object + (is_ascii ? structures.text_ascii_data : structures.text_data);
    if (length == 0 || !readable_pages.contains(data, length * kind)) return 0;
    uint32_t bytes = 0;
    for (uint64_t i = 0; i < length && bytes + 4 <= capacity; ++i) {
        bytes += write_utf8(character_at(data, i, kind), buffer + bytes);
    }
    return bytes;
}

Bytes bytes_of(uint64_t object) {
    const Structures& structures = interpreter.structures;
    if (object % 8 != 0 || !readable_pages.contains(object, structures.bytes_data)) return {};
    const uint64_t count = load(object + structures.bytes_length);
    const uint64_t data = object + structures.bytes_data;
    if (count == 0 || count > kMostBytes || !readable_pages.contains(data, count)) return {};
    return {data, count};
}

}  // namespace offheap::python
