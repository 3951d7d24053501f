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
constexpr int64_t kNowhere = kMostInstructionBytes + 1;

uint64_t mix(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * kMix;
    return hash ^ hash >> 29;
}

uint32_t first_line_of(uint64_t code) {
    return static_cast<uint32_t>(load(code + interpreter.structures.code_first_line));
}

// Factors that have nothing in common, for sums whose terms don't wait for each other.
constexpr uint64_t kFactors[] = {
    0xe7037ed1a0b428dbULL, 0x8ebc6af09c88c6e3ULL, 0x589965cc75374cc3ULL, 0x1d8e4e27c47d124fULL,
    0xeb44accab455d165ULL, 0x9c6e6877736c46e3ULL, 0xbf58476d1ce4e5b9ULL, 0x94d049bb133111ebULL,
    0xd6e8feb86659fd93ULL, 0xa0761d6478bd642fULL,
};

__attribute__((always_inline)) inline uint64_t parts_of(uint64_t code) {
    const Structures& structures = interpreter.structures;
    const uint64_t sum = load(code + structures.code_file) * kFactors[0] +
                         load(code + structures.code_name) * kFactors[1] +
                         load(code + structures.code_lines) * kFactors[2] + first_line_of(code) * kFactors[3];
    return sum | uint64_t{1} << 63;  // unlike a number
}

// The hashes of the names; of the table its size, its first word, one in the middle and the last.
__attribute__((always_inline)) inline uint64_t contents_of(uint64_t code) {
    const Structures& structures = interpreter.structures;
    const uint64_t table = load(code + structures.code_lines);
    const uint64_t data = table + structures.bytes_data;
    const uint64_t count = load(table + structures.bytes_length);
    const uint64_t sum = load(load(code + structures.code_file) + structures.text_hash) * kFactors[4] +
                         load(load(code + structures.code_name) + structures.text_hash) * kFactors[5] +
                         count * kFactors[6] + load(data) * kFactors[7];
    if (count < 16) return sum;
    return sum + load(data + count / 2 / 8 * 8) * kFactors[8] + load(data + count - 8) * kFactors[9];
}

bool are_contents_readable(uint64_t code) {
    const Structures& structures = interpreter.structures;
    const auto is_readable = [](uint64_t object, uint64_t bytes) {
        return object % 8 == 0 && readable_pages.contains(object, bytes);
    };
    const uint64_t table = load(code + structures.code_lines);
    if (!is_readable(load(code + structures.code_file), structures.text_hash + 8u) ||
        !is_readable(load(code + structures.code_name), structures.text_hash + 8u) ||
        !is_readable(table, structures.bytes_data + 8u)) {
        return false;
    }
    const uint64_t count = load(table + structures.bytes_length);
    return count < 16 || (count < 1u << 24 && readable_pages.contains(table + structures.bytes_data, count));
}

// 0: it has none.
uint32_t number_of(uint64_t code) {
    const uint16_t version = interpreter.structures.code_version;
    return version == 0 ? 0 : static_cast<uint32_t>(load(code + version));
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
        if (!readable_pages.contains(code + structures.code_thread_code, 8)) return kNowhere;
        const uint64_t copies = load(code + structures.code_thread_code);
        if (copies % 8 != 0 || !readable_pages.contains(copies, 16 + 8 * uint64_t{index})) return kNowhere;
        if (index >= load(copies)) return kNowhere;
        start = load(copies + 8 + 8 * uint64_t{index});
    }
    return static_cast<int64_t>(instruction - start);
}

}  // namespace

CodeIdentity identity_of(uint64_t code) {
    const uint32_t version = number_of(code);
    if (__builtin_expect(version != 0, 1)) return {version, 0};
    return {parts_of(code), are_contents_readable(code) ? contents_of(code) : 0};
}

bool is_still(uint64_t code, const CodeIdentity& identity) {
    const uint32_t version = number_of(code);
    if (version != 0) return version == identity.parts;
    return parts_of(code) == identity.parts &&
           (identity.contents == 0 || contents_of(code) == identity.contents);
}

uint32_t identity_words(uint64_t code, const CodeIdentity& identity, uint64_t* known_file,
                        unwind::ReadWord* words) {
    const Structures& structures = interpreter.structures;
    uint32_t count = 0;
    // Each as a whole word: what stands beside a number of 32 bits is the code object's, and does not change.
    const auto read = [&](uint64_t address) { return (words[count++] = {address, load(address)}).value; };
    if (number_of(code) != 0) {
        read(code + structures.code_version);
        return count;
    }
    if (structures.code_version != 0) read(code + structures.code_version);
    const uint64_t file = read(code + structures.code_file);
    const uint64_t name = read(code + structures.code_name);
    const uint64_t table = read(code + structures.code_lines);
    read(code + structures.code_first_line);
    if (identity.contents == 0) return count;
    if (file != *known_file) read(file + structures.text_hash);
    *known_file = file;
    read(name + structures.text_hash);
    const uint64_t bytes = read(table + structures.bytes_length);
    const uint64_t data = table + structures.bytes_data;
    read(data);
    if (bytes < 16) return count;
    read(data + bytes / 2 / 8 * 8);
    read(data + bytes - 8);
    return count;
}

uint64_t KnownCode::key_of(uint64_t frame, uint64_t code, const CodeIdentity& identity, uint64_t instruction,
                           NumberCode number_code) {
    const uint32_t number = known(code, identity, number_code).number;
    const uint32_t line = line_of(code, identity, offset_of(frame, code, instruction));
    return wire::kKeyPython << wire::kKeyKindShift | uint64_t{number} << 32 | line;
}

void KnownCode::forget() {
    for (Code& code : codes_) code.address = 0;
    for (Line& line : lines_) line.code = 0;
}

const KnownCode::Code& KnownCode::known(uint64_t code, const CodeIdentity& identity, NumberCode number_code) {
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

uint32_t KnownCode::line_of(uint64_t code, const CodeIdentity& identity, int64_t instruction) {
    const uint64_t hash = mix(mix(mix(1, code), identity.parts), identity.contents) | 1;
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
