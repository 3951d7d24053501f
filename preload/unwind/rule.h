// An unwind rule: what a row says about rip, rsp and rbp, in 64 bits.
//
//     63        40 39        16 15    8   7 6 5 4 3  0
//     CFA offset/8 rbp offset/8 addend/8   -  rbp kind
//
// Frames that need more (another register as base, a return address in an odd place) are `general`: they are
// rare, and walked with the whole row.
#pragma once

#include <stdint.h>

namespace offheap::unwind {

enum class RuleKind : uint8_t {
    none,           // no rule; never cached
    from_rsp,       // CFA = rsp + offset
    from_rbp,       // CFA = rbp + offset
    at_rsp,         // CFA = *(rsp + offset) + addend
    at_rbp,         // CFA = *(rbp + offset) + addend: a stack that the function aligned for itself
    signal_frame,   // all registers lie in the ucontext at rsp
    end,            // nothing called this function: a thread's first
    planted,        // no call put this address on the stack: a coroutine's first function returns there
    frame_pointer,  // no unwind information: a guess, to be checked at every step
    general,        // any other row
    unsupported,    // the row cannot be followed
};

enum class RbpPlace : uint8_t {
    same,    // the caller's rbp
    at_cfa,  // saved at CFA + rbp offset
    at_rbp,  // saved at rbp + rbp offset
};

class Rule {
  public:
    constexpr Rule() = default;
    constexpr explicit Rule(uint64_t bits) : bits_(bits) {}
    constexpr explicit Rule(RuleKind kind) : bits_(static_cast<uint64_t>(kind)) {}

    constexpr Rule(RuleKind kind, int64_t cfa_offset_bytes, int64_t addend_bytes, RbpPlace rbp,
                   int64_t rbp_offset_bytes)
        : bits_(static_cast<uint64_t>(kind) | static_cast<uint64_t>(rbp) << 4 |
                (static_cast<uint64_t>(addend_bytes) & 0xff) << 8 |
                (static_cast<uint64_t>(rbp_offset_bytes) & 0xffffff) << 16 |
                static_cast<uint64_t>(cfa_offset_bytes) << 40) {}

    constexpr uint64_t bits() const { return bits_; }
    // Kind and place of rbp at once, to be compared in one instruction.
    constexpr uint8_t shape() const { return static_cast<uint8_t>(bits_ & 0x3f); }
    static constexpr uint8_t shape(RuleKind kind, RbpPlace rbp) { return Rule(kind, 0, 0, rbp, 0).shape(); }
    constexpr RuleKind kind() const { return static_cast<RuleKind>(bits_ & 0xf); }
    constexpr RbpPlace rbp_place() const { return static_cast<RbpPlace>((bits_ >> 4) & 3); }
    constexpr bool uses_rbp() const {
        return kind() == RuleKind::from_rbp || kind() == RuleKind::at_rbp ||
               kind() == RuleKind::frame_pointer || rbp_place() == RbpPlace::at_rbp;
    }
    // Whether the caller's rbp is read from the stack.
    constexpr bool saves_rbp() const {
        return kind() == RuleKind::frame_pointer || rbp_place() != RbpPlace::same;
    }
    constexpr int64_t addend_bytes() const { return static_cast<int8_t>(bits_ >> 8); }
    constexpr int64_t rbp_offset_bytes() const { return static_cast<int64_t>(bits_ << 24) >> 40; }
    constexpr int64_t cfa_offset_bytes() const { return static_cast<int64_t>(bits_) >> 40; }

  private:
    uint64_t bits_ = 0;
};

}  // namespace offheap::unwind
