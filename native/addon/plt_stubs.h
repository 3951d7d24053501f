// The stubs by which a file calls functions of others, with the names of what they call.
#pragma once

#include <stdint.h>

#include <span>
#include <vector>

#include "native/addon/function_index.h"

namespace offheap::addon {

// A section of stubs: .plt, .plt.sec or .plt.got.
struct StubSection {
    std::span<const uint8_t> code;
    uint64_t address;
    uint32_t stub_bytes;  // without an endbr64 in front, which makes all stubs 16 bytes
};

struct StubInput {
    std::vector<StubSection> sections;
    std::vector<std::span<const uint8_t>> relocations;  // ELF64 with addends
    std::span<const uint8_t> symbols;
};

// Each stub jumps through a slot that a relocation fills; reading the jump, and not counting stubs, serves
// every linker's layout.
std::vector<Stub> plt_stubs(const StubInput& input);

}  // namespace offheap::addon
