// Steps by whole rows, for frames that a 64-bit rule cannot hold: the lazy binder's (CFA from rbx),
// hand-written assembly, trampolines that keep the return address in a register.
#include "preload/unwind/rule_compiler.h"
#include "preload/unwind/walk.h"

namespace offheap::unwind {
namespace {

constexpr uint8_t bit(Column column) { return static_cast<uint8_t>(1u << column); }
constexpr uint8_t kAllKnown = 0xff;

// The registers that survive calls, as far as they are known, in one frame.
struct RegisterFile {
    uint64_t values[kColumns];
    uint64_t ucontext;  // in a frame that a signal interrupted: where all registers are; else 0
    uint8_t known;      // a bit per column
};

void start_at_leaf(const Walk& walk, RegisterFile& file) {
    const Registers& leaf = walk.leaf;
    file = {{leaf.rip, leaf.rsp, leaf.rbp, leaf.rbx, leaf.r12, leaf.r13, leaf.r14, leaf.r15}, 0, kAllKnown};
}

void start_at_interrupted(const Walk& walk, RegisterFile& file) {
    for (uint8_t reg = 0; reg < kDwarfRegisters; ++reg) {
        const Column column = column_of(reg);
        if (column != kColumns) file.values[column] = load(walk.ucontext + ucontext_offset_bytes(reg));
    }
    file.ucontext = walk.ucontext;
    file.known = kAllKnown;
}

bool read_register(const RegisterFile& file, uint8_t reg, uint64_t& value) {
    const Column column = column_of(reg);
    if (column != kColumns) {
        value = file.values[column];
        return (file.known & bit(column)) != 0;
    }
    // Registers that calls do not preserve are known only in a frame that a signal interrupted.
    if (file.ucontext == 0) return false;
    value = load(file.ucontext + ucontext_offset_bytes(reg));
    return true;
}

bool read_memory(Walk& walk, uint64_t address, uint64_t& value) {
    if (!walk.memory.reach(address)) return false;
    value = load(address);
    return true;
}

bool evaluate(Walk& walk, const RegisterFile& file, const Term& term, uint64_t& value) {
    if (term.form != Form::sum && term.form != Form::indirect) return false;
    if (!read_register(file, term.reg, value)) return false;
    value += static_cast<uint64_t>(term.offset);
    if (term.form == Form::sum) return true;
    if (!read_memory(walk, value, value)) return false;
    value += static_cast<uint64_t>(int64_t{term.addend});
    return true;
}

bool locate_value(Walk& walk, const RegisterFile& file, const Location& location, Column column, uint64_t cfa,
                  uint64_t& value) {
    const auto offset = static_cast<uint64_t>(int64_t{location.offset});
    switch (static_cast<Place>(location.place)) {
        case Place::same:
            value = file.values[column];
            return (file.known & bit(column)) != 0;
        case Place::at_cfa:
            return read_memory(walk, cfa + offset, value);
        case Place::at_register:
            return read_register(file, static_cast<uint8_t>(location.reg), value) &&
                   read_memory(walk, value + offset, value);
        case Place::cfa_value:
            value = cfa + offset;
            return true;
        case Place::register_value:
            if (!read_register(file, static_cast<uint8_t>(location.reg), value)) return false;
            value += offset;
            return true;
        default:
            return false;
    }
}

// Takes the register file from a frame to its caller.
bool apply(Walk& walk, RegisterFile& file, const Row& row) {
    uint64_t cfa;
    if (!evaluate(walk, file, row.cfa, cfa)) return false;
    uint64_t values[kColumns];
    uint8_t known = 0;
    for (uint32_t i = 0; i < kColumns; ++i) {
        const auto column = static_cast<Column>(i);
        values[i] = 0;
        if (locate_value(walk, file, row.columns[i], column, cfa, values[i])) known |= bit(column);
    }
    for (uint32_t i = 0; i < kColumns; ++i) file.values[i] = values[i];
    file.known = known;
    file.ucontext = 0;
    return (known & bit(kRip)) != 0 && (known & bit(kRsp)) != 0;
}

// What a frame pointer step leaves of the registers.
bool apply_frame_pointer(Walk& walk, RegisterFile& file) {
    const uint64_t rbp = file.values[kRbp];
    if ((file.known & bit(kRbp)) == 0 || !read_memory(walk, rbp, file.values[kRbp]) ||
        !read_memory(walk, rbp + 8, file.values[kRip])) {
        return false;
    }
    file.values[kRsp] = rbp + 16;
    file.known = bit(kRip) | bit(kRsp) | bit(kRbp);
    file.ucontext = 0;
    return true;
}

}  // namespace

bool step_general(Walk& walk, WalkedFrames walked) {
    RegisterFile file;
    if (walk.ucontext == 0) {
        start_at_leaf(walk, file);
    } else {
        start_at_interrupted(walk, file);
    }
    walk.frames_walked_again += walked.count - walk.interrupted_index;
    if (walk.frames_walked_again > kMaxFramesWalkedAgain) return walk.stop_for(Stop::unsupported_rule);
    bool caller_is_exact = false;
    for (uint32_t i = walk.interrupted_index; i < walked.count; ++i) {
        Row row;
        const bool has_row = find_row(walked[i], row, caller_is_exact);
        if (!(has_row ? apply(walk, file, row) : apply_frame_pointer(walk, file))) {
            return walk.stop_for(Stop::unsupported_rule);
        }
    }
    // A trampoline that was entered without a call has pushed nothing: only there the stack need not rise.
    const uint64_t caller_rsp = file.values[kRsp];
    const bool rises =
        caller_rsp > walk.rsp || (caller_is_exact && ++walk.stack_switches <= kMaxStackSwitches);
    if (!rises) return walk.stop_for(Stop::no_progress);
    if (!walk.memory.advance(caller_rsp - 8)) return walk.stop_for(Stop::unreadable_stack);
    walk.rsp = caller_rsp;
    // An unknown rbp is odd, so nothing rests on it unseen: a frame that needs it fails the walk's checks.
    walk.rbp = (file.known & bit(kRbp)) != 0 ? file.values[kRbp] : 1;
    walk.frame = file.values[kRip];
    if (caller_is_exact) walk.frame = exact_frame(walk.frame);
    return true;
}

}  // namespace offheap::unwind
