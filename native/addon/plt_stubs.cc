#include "native/addon/plt_stubs.h"

#include <elf.h>
#include <string.h>

#include <algorithm>

namespace offheap::addon {
namespace {

constexpr uint32_t kEndbr64 = 0xfa1e0ff3;
constexpr uint8_t kBndPrefix = 0xf2;
constexpr size_t kJumpBytes = 6;

struct Slot {
    uint64_t address;
    uint32_t name;
};

std::vector<Slot> slots_of(const StubInput& input) {
    std::vector<Slot> slots;
    for (const auto& table : input.relocations) {
        for (size_t at = 0; at + sizeof(Elf64_Rela) <= table.size(); at += sizeof(Elf64_Rela)) {
            Elf64_Rela relocation;
            memcpy(&relocation, table.data() + at, sizeof relocation);
            const uint32_t type = ELF64_R_TYPE(relocation.r_info);
            if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT) continue;
            const uint64_t index = ELF64_R_SYM(relocation.r_info);
            if (index == 0 || index >= input.symbols.size() / sizeof(Elf64_Sym)) continue;
            uint32_t name;
            memcpy(&name, input.symbols.data() + index * sizeof(Elf64_Sym), sizeof name);
            slots.push_back({relocation.r_offset, name});
        }
    }
    std::sort(slots.begin(), slots.end(), [](const Slot& a, const Slot& b) { return a.address < b.address; });
    return slots;
}

bool begins_with_endbr64(std::span<const uint8_t> code) {
    uint32_t word = 0;
    if (code.size() >= sizeof word) memcpy(&word, code.data(), sizeof word);
    return word == kEndbr64;
}

// The slot that `jmp *displacement(%rip)` at the head of a stub reads, behind an endbr64 or bnd prefix if
// any; 0 for another stub.
uint64_t jump_slot(std::span<const uint8_t> stub, uint64_t address) {
    size_t at = begins_with_endbr64(stub) ? sizeof kEndbr64 : 0;
    if (at < stub.size() && stub[at] == kBndPrefix) ++at;
    if (at + kJumpBytes > stub.size() || stub[at] != 0xff || stub[at + 1] != 0x25) return 0;
    int32_t displacement;
    memcpy(&displacement, stub.data() + at + 2, sizeof displacement);
    return address + at + kJumpBytes + static_cast<uint64_t>(int64_t{displacement});
}

}  // namespace

std::vector<Stub> plt_stubs(const StubInput& input) {
    std::vector<Stub> stubs;
    if (input.sections.empty()) return stubs;
    const std::vector<Slot> slots = slots_of(input);
    for (const StubSection& section : input.sections) {
        const size_t step = begins_with_endbr64(section.code) ? 16 : std::max(section.stub_bytes, 8u);
        for (size_t at = 0; at + step <= section.code.size(); at += step) {
            const uint64_t address = section.address + at;
            const uint64_t slot = jump_slot(section.code.subspan(at, step), address);
            const auto found = std::lower_bound(
                slots.begin(), slots.end(), slot,
                [](const Slot& candidate, uint64_t wanted) { return candidate.address < wanted; });
            if (slot == 0 || found == slots.end() || found->address != slot) continue;
            stubs.push_back({{address, address + step}, found->name});
        }
    }
    return stubs;
}

}  // namespace offheap::addon
