// The registers that a walk follows, and where Linux keeps them in a signal frame.
#pragma once

#include <stdint.h>

namespace offheap::unwind {

// A frame's registers. `rip` is an exact address: the instruction to execute next, not a return address.
struct Registers {
    uint64_t rip, rsp, rbp, rbx, r12, r13, r14, r15;
};

// Positions in Registers: the columns of an unwind table that survive a call.
enum Column : uint8_t { kRip, kRsp, kRbp, kRbx, kR12, kR13, kR14, kR15, kColumns };

// DWARF's register numbers on x86-64.
inline constexpr uint8_t kDwarfRbx = 3;
inline constexpr uint8_t kDwarfRbp = 6;
inline constexpr uint8_t kDwarfRsp = 7;
inline constexpr uint8_t kDwarfRip = 16;  // the return address column
inline constexpr uint8_t kDwarfRegisters = 17;

// The column of a DWARF register, or kColumns if a call does not preserve it.
inline Column column_of(uint64_t dwarf_register) {
    switch (dwarf_register) {
        case kDwarfRbx:
            return kRbx;
        case kDwarfRbp:
            return kRbp;
        case kDwarfRsp:
            return kRsp;
        case 12:
        case 13:
        case 14:
        case 15:
            return static_cast<Column>(kR12 + (dwarf_register - 12));
        case kDwarfRip:
            return kRip;
        default:
            return kColumns;
    }
}

// One past the highest address of a process.
inline constexpr uint64_t kUserEnd = uint64_t{1} << 47;

// A word that may be a code address. 0, where a return address is due, ends the stack.
inline bool is_code_address(uint64_t address) { return address - 1 < kUserEnd - 1; }

// The bytes from a signal frame's ucontext (where rsp points at the sigreturn trampoline) to a saved
// register.
inline uint64_t ucontext_offset_bytes(uint8_t dwarf_register) {
    // The order of the kernel's struct sigcontext: r8 … r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip.
    constexpr uint8_t kSlots[kDwarfRegisters] = {13, 12, 14, 11, 9, 8, 10, 15, 0, 1, 2, 3, 4, 5, 6, 7, 16};
    return 40 + uint64_t{kSlots[dwarf_register]} * 8;
}

}  // namespace offheap::unwind
