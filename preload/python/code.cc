#include "preload/python/code.h"

#include "native/wire/layout.h"
#include "preload/python/interpreter.h"
#include "preload/python/line.h"
#include "preload/python/objects.h"
#include "preload/python/readable_pages.h"
#include "preload/unwind/stack_memory.h"

namespace offheap::python {

using unwind::load;

namespace {

constexpr uint64_t kMix = 0x9e3779b97f4a7c15ULL;
// No function is longer; what claims to be further in has no line.
constexpr int64_t kMostInstructionBytes = 1 << 26;

uint64_t mix(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * kMix;
    return hash ^ hash >> 29;
}

uint32_t first_line_of(uint64_t code) {
    return static_cast<uint32_t>(load(code + interpreter.structures.code_first_line));
}

uint64_t hash_of_text(uint64_t text) {
    const Structures& structures = interpreter.structures;
    const bool is_readable = text % 8 == 0 && readable_pages.contains(text, structures.text_hash + 8u);
    return is_readable ? load(text + structures.text_hash) : 0;
}

// The first word of the contents, one in the middle and the last; those of another object behind the end.
uint64_t hash_of_table(uint64_t table) {
    const Structures& structures = interpreter.structures;
    const uint64_t data = table + structures.bytes_data;
    if (table % 8 != 0 || !readable_pages.contains(table, structures.bytes_data + 8u)) return 0;
    const uint64_t count = load(table + structures.bytes_length);
    uint64_t hash = mix(count, load(data));
    if (count < 16 || !readable_pages.contains(data, count)) return hash;
    hash = mix(hash, load(data + count / 2 / 8 * 8));
    return mix(hash, load(data + count - 8));
}

__attribute__((noinline)) uint64_t identity_by_parts(uint64_t code) {
    const Structures& structures = interpreter.structures;
    const uint64_t file = load(code + structures.code_file);
    const uint64_t name = load(code + structures.code_name);
    const uint64_t table = load(code + structures.code_lines);
    uint64_t hash = mix(file, name);
    hash = mix(hash, table);
    hash = mix(hash, first_line_of(code));
    hash = mix(hash, hash_of_text(file));
    hash = mix(hash, hash_of_text(name));
    return mix(hash, hash_of_table(table)) | uint64_t{1} << 63;
}

// The offset of an instruction in its code, in bytes.
int64_t offset_of(uint64_t frame, uint64_t code, uint64_t instruction) {
    const Structures& structures = interpreter.structures;
    if (structures.code_bytes == 0) {
        return int64_t{static_cast<int32_t>(instruction)} * instruction_bytes(structures.chain);
    }
    uint64_t start = code + structures.code_bytes;
    if (structures.frame_thread_code != 0) {
        // _PyCodeArray: how many copies there are, and where.
        const auto index = static_cast<uint32_t>(load(frame + structures.frame_thread_code));
        if (!readable_pages.contains(code + structures.code_thread_code, 8)) return -1;
        const uint64_t copies = load(code + structures.code_thread_code);
        if (copies % 8 != 0 || !readable_pages.contains(copies, 16 + 8 * uint64_t{index})) return -1;
        if (index >= load(copies)) return -1;
        start = load(copies + 8 + 8 * uint64_t{index});
    }
    return static_cast<int64_t>(instruction - start);
}

}  // namespace

uint64_t identity_of(uint64_t code) {
    const uint16_t version = interpreter.structures.code_version;
    if (version != 0) {
        const auto number = static_cast<uint32_t>(load(code + version));
        if (__builtin_expect(number != 0, 1)) return number;
    }
    return identity_by_parts(code);
}

uint64_t KnownCode::key_of(uint64_t frame, uint64_t code, uint64_t identity, uint64_t instruction,
                           NumberCode number_code) {
    const uint32_t number = known(code, identity, number_code).number;
    const uint32_t line = line_of(code, identity, offset_of(frame, code, instruction));
    return wire::kKeyPython << wire::kKeyKindShift | uint64_t{number} << 32 | line;
}

void KnownCode::forget() {
    for (Code& code : codes_) code.address = 0;
    for (Line& line : lines_) line.code = 0;
}

const KnownCode::Code& KnownCode::known(uint64_t code, uint64_t identity, NumberCode number_code) {
    Code& slot = codes_[code * kMix >> 55];
    static_assert(kCodes == 1u << (64 - 55));
    if (__builtin_expect(slot.address == code && slot.identity == identity, 1)) return slot;
    const Structures& structures = interpreter.structures;
    const CodeDescription description = {
        .file = file_,
        .name = name_,
        .file_bytes = read_text(load(code + structures.code_file), file_, sizeof file_),
        .name_bytes = read_text(load(code + structures.code_name), name_, sizeof name_),
        .first_line = first_line_of(code),
    };
    slot.address = 0;
    slot.number = number_code(description);
    slot.identity = identity;
    slot.address = code;
    return slot;
}

uint32_t KnownCode::line_of(uint64_t code, uint64_t identity, int64_t instruction) {
    const uint64_t hash = mix(mix(1, code), identity) | 1;
    Line& slot = lines_[mix(hash, static_cast<uint64_t>(instruction)) >> 53];
    static_assert(kLines == 1u << (64 - 53));
    if (__builtin_expect(slot.code == hash && slot.instruction == instruction, 1)) return slot.line;
    if (instruction > kMostInstructionBytes) return 0;
    const Structures& structures = interpreter.structures;
    const Bytes table = bytes_of(load(code + structures.code_lines));
    slot.line = line_at(structures.line_table, reinterpret_cast<const uint8_t*>(table.address), table.count,
                        first_line_of(code), instruction);
    slot.code = hash;
    slot.instruction = instruction;
    return slot.line;
}

}  // namespace offheap::python
