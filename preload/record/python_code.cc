#include "preload/record/python_code.h"

namespace offheap::record {

namespace {

constexpr uint64_t kKeyBits = (1ULL << wire::kKeyKindShift) - 1;

// FNV-1a, and its high bits into the low ones. Two of a process's texts agree in 56 bits once in a million
// processes that have a hundred thousand.
uint64_t hash_of(Text text) {
    uint64_t hash = 0xcbf29ce484222325ULL;
    for (uint32_t i = 0; i < text.bytes; ++i) {
        hash = (hash ^ static_cast<uint8_t>(text.start[i])) * 0x100000001b3ULL;
    }
    return hash ^ hash >> 32;
}

// The node of a text; 0 when there is no room.
uint32_t intern_text(Channel& channel, Text text) {
    if (text.bytes == 0) return 0;
    const uint32_t node =
        channel.intern(0, wire::kKeyText << wire::kKeyKindShift | (hash_of(text) & kKeyBits));
    if (node == 0 || channel.has_child(node)) return node;
    // Where two threads come here with one text, the first child counts.
    const uint32_t offset = channel.add_text(text.start, text.bytes);
    if (offset == 0) return 0;
    const bool is_told = channel.intern(node, wire::kKeyTextOffset << wire::kKeyKindShift | offset) != 0;
    return is_told ? node : 0;
}

}  // namespace

uint32_t intern_python_code(Channel& channel, Text file, Text function, uint32_t first_line) {
    const uint32_t file_node = intern_text(channel, file);
    const uint32_t function_node = intern_text(channel, function);
    if (file_node == 0 || function_node == 0) return 0;
    return channel.intern(
        file_node, wire::kKeyPythonCode << wire::kKeyKindShift | uint64_t{function_node} << 32 | first_line);
}

}  // namespace offheap::record
