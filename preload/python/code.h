// Positions in Python code, as keys for the stack tree.
//
// A code object may be freed and another one take its address. It is told from its predecessor by its number
// where it has one (3.12), else by what it consists of: the addresses and hashes of its names, its first
// line, and the size and three words of its table of lines. Two codes of one address that agree in all of
// that differ in nothing that a key tells but, where their tables differ elsewhere, in lines.
#pragma once

#include <stdint.h>

#include "preload/unwind/stack_memory.h"

namespace offheap::python {

struct CodeDescription {
    const char* file;
    const char* name;
    uint32_t file_bytes;  // 0: not known
    uint32_t name_bytes;
    uint32_t first_line;
};

// Gives a description its number, the same each time; 0 where there is no room.
using NumberCode = uint32_t (*)(const CodeDescription& description);

// Tells a code object from others that had its address.
struct CodeIdentity {
    uint64_t parts;     // its number, or what it points at
    uint64_t contents;  // of that
    bool operator==(const CodeIdentity& other) const = default;
};

// The code object must be readable.
CodeIdentity identity_of(uint64_t code);

// Whether it is the same for a code object that had it before, while readable_pages' epoch was the same.
bool is_still(uint64_t code, const CodeIdentity& identity);

inline constexpr uint32_t kMostIdentityWords = 11;

// Writes the words that the identity was made of; how many. While they are what they are, and readable, the
// code object is still the one. `known_file`: the name of a file whose words are told already; the code's
// comes back in it.
uint32_t identity_words(uint64_t code, const CodeIdentity& identity, uint64_t* known_file,
                        unwind::ReadWord* words);

// What a thread knows of the code that it has run of late.
class KnownCode {
  public:
    // The key of an instruction (Frame::instruction) of the frame at `frame`.
    uint64_t key_of(uint64_t frame, uint64_t code, const CodeIdentity& identity, uint64_t instruction,
                    NumberCode number_code);

    void forget();

  private:
    static constexpr uint32_t kCodes = 512;
    static constexpr uint32_t kLines = 2048;
    static constexpr uint32_t kMostPathBytes = 2048;
    static constexpr uint32_t kMostNameBytes = 1024;

    struct Code {
        uint64_t address;  // 0: none
        CodeIdentity identity;
        uint32_t number;
    };
    struct Line {
        uint64_t code;  // a hash of its address and identity
        int64_t instruction;
        uint32_t line;
    };

    const Code& known(uint64_t code, const CodeIdentity& identity, NumberCode number_code);
    uint32_t line_of(uint64_t code, const CodeIdentity& identity, int64_t instruction);

    Code codes_[kCodes];
    Line lines_[kLines];
    char file_[kMostPathBytes];
    char name_[kMostNameBytes];
};

}  // namespace offheap::python
