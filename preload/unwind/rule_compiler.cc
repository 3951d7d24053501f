#include "preload/unwind/rule_compiler.h"

#include "preload/unwind/cfa_program.h"
#include "preload/unwind/stack_memory.h"

namespace offheap::unwind {
namespace {

bool fits(int64_t value, int64_t limit) { return value >= -limit && value < limit; }
constexpr int64_t kOffsetLimit = 1 << 23;
constexpr int64_t kAddendLimit = 1 << 7;

bool is_at(const Location& location, Place place, int64_t offset, uint8_t reg = 0) {
    return static_cast<Place>(location.place) == place && location.offset == offset && location.reg == reg;
}

bool is_kernel_signal_frame(const Row& row) {
    const auto rip = static_cast<int64_t>(ucontext_offset_bytes(kDwarfRip));
    const auto rsp = static_cast<int64_t>(ucontext_offset_bytes(kDwarfRsp));
    return row.cfa.form == Form::indirect && row.cfa.reg == kDwarfRsp && row.cfa.offset == rsp &&
           row.cfa.addend == 0 && is_at(row.columns[kRip], Place::at_register, rip, kDwarfRsp);
}

RuleKind kind_of(const Term& cfa) {
    if (cfa.form == Form::sum && cfa.reg == kDwarfRsp) return RuleKind::from_rsp;
    if (cfa.form == Form::sum && cfa.reg == kDwarfRbp) return RuleKind::from_rbp;
    if (cfa.form == Form::indirect && cfa.reg == kDwarfRsp) return RuleKind::at_rsp;
    if (cfa.form == Form::indirect && cfa.reg == kDwarfRbp) return RuleKind::at_rbp;
    return RuleKind::general;
}

// The instructions that return from a signal handler: mov $15,%rax; syscall. Runtimes that install a restorer
// of their own (Go) describe it nowhere.
bool is_sigreturn(const Module& module, uint64_t address) {
    static constexpr uint8_t kCode[] = {0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05};
    const auto* code = reinterpret_cast<const uint8_t*>(address);
    if (!module.range.contains(code) || !module.range.contains(code + sizeof(kCode) - 1)) return false;
    if (!is_readable(address) || !is_readable(address + sizeof(kCode) - 1)) return false;
    for (uint32_t i = 0; i < sizeof(kCode); ++i) {
        if (code[i] != kCode[i]) return false;
    }
    return true;
}

// The instructions behind the call in an interpreter's trampoline. They are what runs next, so they tell
// where the caller's registers are, whatever ran before.
struct Epilogue {
    uint8_t code[8];
    uint32_t bytes;
    bool pops_rbp;
};
constexpr Epilogue kEpilogues[] = {
    {{0x48, 0x83, 0xc4, 0x08, 0xc3}, 5, false},  // add $8,%rsp; ret
    {{0x5d, 0xc3}, 2, true},                     // pop %rbp; ret
};

bool is_code_at(uint64_t address, const Epilogue& epilogue) {
    if (!is_readable(address) || !is_readable(address + epilogue.bytes - 1)) return false;
    const auto* const code = reinterpret_cast<const volatile uint8_t*>(address);
    for (uint32_t i = 0; i < epilogue.bytes; ++i) {
        if (code[i] != epilogue.code[i]) return false;
    }
    return true;
}

bool find_trampoline_row(uint64_t frame, Row& row) {
    if (!__atomic_load_n(&has_trampolines, __ATOMIC_RELAXED)) return false;
    for (const Epilogue& epilogue : kEpilogues) {
        if (!is_code_at(frame & kAddressMask, epilogue)) continue;
        row.cfa = {Form::sum, kDwarfRsp, 0, 16};
        for (Location& location : row.columns) location = locate(Place::same);
        row.columns[kRip] = locate(Place::at_cfa, -8);
        row.columns[kRsp] = locate(Place::cfa_value);
        if (epilogue.pops_rbp) row.columns[kRbp] = locate(Place::at_cfa, -16);
        return true;
    }
    return false;
}

enum class Found : uint8_t { nothing, module_only, sigreturn, planted, description };

// Finds what describes a frame. A return address is looked up one byte back, inside the call that it follows:
// the call may be a function's last instruction. Where nothing lies there and a function *starts* at the
// address, no call put it on the stack: it was planted (makecontext does so) and the stack ends with it.
__attribute__((noinline)) Found find(uint64_t frame, FrameDescription& description, uint64_t& address) {
    const bool is_exact = frame >> wire::kKeyKindShift == wire::kKeyExactAddress;
    address = (frame & kAddressMask) - (is_exact ? 0 : 1);
    Module module;
    if (!find_module(address, module)) return Found::nothing;
    if (find_frame_description(module, address, description)) return Found::description;
    if (!is_exact && find_frame_description(module, address + 1, description)) {
        return description.function == address + 1 ? Found::planted : Found::module_only;
    }
    return is_sigreturn(module, frame & kAddressMask) ? Found::sigreturn : Found::module_only;
}

}  // namespace

bool has_trampolines;

Rule fold_row(const Row& row, bool caller_is_exact) {
    if (row.place(kRip) == Place::undefined) return Rule(RuleKind::end);
    if (row.cfa.form == Form::unknown || row.cfa.form == Form::constant) return Rule(RuleKind::unsupported);
    if (row.place(kRip) == Place::unsupported || row.place(kRip) == Place::same)
        return Rule(RuleKind::unsupported);
    if (caller_is_exact && is_kernel_signal_frame(row)) return Rule(RuleKind::signal_frame);

    const RuleKind kind = kind_of(row.cfa);
    const Rule general(RuleKind::general);
    if (kind == RuleKind::general || caller_is_exact || !fits(row.cfa.offset, kOffsetLimit) ||
        !fits(row.cfa.addend, kAddendLimit)) {
        return general;
    }
    if (!is_at(row.columns[kRip], Place::at_cfa, -8) || !is_at(row.columns[kRsp], Place::cfa_value, 0))
        return general;

    const Location& rbp = row.columns[kRbp];
    RbpPlace rbp_place;
    switch (row.place(kRbp)) {
        case Place::same:
            rbp_place = RbpPlace::same;
            break;
        case Place::at_cfa:
            rbp_place = RbpPlace::at_cfa;
            break;
        case Place::at_register:
            if (rbp.reg != kDwarfRbp) return general;
            rbp_place = RbpPlace::at_rbp;
            break;
        default:
            return general;
    }
    if (!fits(rbp.offset, kOffsetLimit)) return general;
    // capture() relies on these orders, so that it need not check each read: the return address and the saved
    // rbp lie between the base register and the CFA.
    if (kind == RuleKind::from_rsp) {
        if (row.cfa.offset < 8 || rbp_place == RbpPlace::at_rbp) return general;
    }
    if ((kind == RuleKind::from_rsp || kind == RuleKind::from_rbp) && rbp_place == RbpPlace::at_cfa) {
        if (rbp.offset > -16 || row.cfa.offset + rbp.offset < 0) return general;
    }
    return Rule(kind, row.cfa.offset, row.cfa.addend, rbp_place, rbp.offset);
}

CompiledRule compile_rule(uint64_t frame) {
    FrameDescription description;
    uint64_t address;
    Row row;
    switch (find(frame, description, address)) {
        case Found::nothing:
            if (find_trampoline_row(frame, row)) return {fold_row(row, false), false};
            return {Rule(RuleKind::frame_pointer), false};
        case Found::module_only:
            return {Rule(RuleKind::frame_pointer), true};
        case Found::sigreturn:
            return {Rule(RuleKind::signal_frame), true};
        case Found::planted:
            return {Rule(RuleKind::planted), true};
        case Found::description:
            break;
    }
    if (!run_program(description, address, row)) return {Rule(RuleKind::unsupported), true};
    return {fold_row(row, description.is_signal_frame), true};
}

bool find_row(uint64_t frame, Row& row, bool& caller_is_exact) {
    FrameDescription description;
    uint64_t address;
    caller_is_exact = false;
    const Found found = find(frame, description, address);
    if (found == Found::nothing) return find_trampoline_row(frame, row);
    if (found != Found::description) return false;
    caller_is_exact = description.is_signal_frame;
    return run_program(description, address, row);
}

}  // namespace offheap::unwind
