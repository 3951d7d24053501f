#include "preload/unwind/cfa_program.h"

#include <gtest/gtest.h>

#include "preload/unwind/rule_compiler.h"
#include "test/native/unwind/table_bytes.h"

namespace offheap::unwind {
namespace {

constexpr uint64_t kFunction = 0x401000;

Bytes view(const Program& program) { return {program.data(), program.data() + program.size()}; }

// The rule that a program comes to, `offset` bytes into its function.
Rule rule_at(uint64_t offset, const Program& program, bool is_signal_frame = false,
             const Program& common = kCallProgram) {
    const FrameDescription description{kFunction, kFunction + 4096, view(common),   view(program), 1,
                                       -8,        kDwarfRip,        is_signal_frame};
    Row row;
    if (!run_program(description, kFunction + offset, row)) return Rule();
    return fold_row(row, is_signal_frame);
}

void expect_rule(Rule rule, RuleKind kind, int64_t cfa_offset, RbpPlace rbp, int64_t rbp_offset,
                 int64_t addend = 0) {
    EXPECT_EQ(rule.kind(), kind);
    EXPECT_EQ(rule.cfa_offset_bytes(), cfa_offset);
    EXPECT_EQ(rule.rbp_place(), rbp);
    EXPECT_EQ(rule.rbp_offset_bytes(), rbp_offset);
    EXPECT_EQ(rule.addend_bytes(), addend);
}

// push %rbp; mov %rsp,%rbp; … leave; ret
const Program kFramePointer = {0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0x50, 0x0c, 7, 8};

TEST(CfaProgram, follows_a_frame_pointer_prologue) {
    expect_rule(rule_at(0, kFramePointer), RuleKind::from_rsp, 8, RbpPlace::same, 0);
    expect_rule(rule_at(1, kFramePointer), RuleKind::from_rsp, 16, RbpPlace::at_cfa, -16);
    expect_rule(rule_at(4, kFramePointer), RuleKind::from_rbp, 16, RbpPlace::at_cfa, -16);
    expect_rule(rule_at(19, kFramePointer), RuleKind::from_rbp, 16, RbpPlace::at_cfa, -16);
}

TEST(CfaProgram, leaves_the_frame_whose_rbp_slot_lies_below_rsp_to_the_general_step) {
    EXPECT_EQ(rule_at(20, kFramePointer).kind(), RuleKind::general);
}

TEST(CfaProgram, advances_by_every_width) {
    const Program program = {0x02, 10, 0x0e, 16, 0x03, 0, 1, 0x0e, 24, 0x04, 0, 0, 1, 0, 0x0e, 32};
    expect_rule(rule_at(9, program), RuleKind::from_rsp, 8, RbpPlace::same, 0);
    expect_rule(rule_at(10, program), RuleKind::from_rsp, 16, RbpPlace::same, 0);
    expect_rule(rule_at(10 + 256, program), RuleKind::from_rsp, 24, RbpPlace::same, 0);
    expect_rule(rule_at(10 + 256 + 65536, program), RuleKind::from_rsp, 32, RbpPlace::same, 0);
}

TEST(CfaProgram, remembers_and_restores_the_row) {
    // 0x0a remember, 0x0b restore, 0xc6 restore rbp to what the CIE says.
    const Program program = {0x0e, 16, 0x86, 2, 0x41, 0x0a, 0x0e, 8, 0xc6, 0x41, 0x0b, 0x41, 0xc6};
    expect_rule(rule_at(0, program), RuleKind::from_rsp, 16, RbpPlace::at_cfa, -16);
    expect_rule(rule_at(1, program), RuleKind::from_rsp, 8, RbpPlace::same, 0);
    expect_rule(rule_at(2, program), RuleKind::from_rsp, 16, RbpPlace::at_cfa, -16);
    expect_rule(rule_at(3, program), RuleKind::from_rsp, 16, RbpPlace::same, 0);
}

TEST(CfaProgram, reads_signed_and_extended_forms) {
    expect_rule(rule_at(0, {0x12, 7, 0x7d}), RuleKind::from_rsp, 24, RbpPlace::same, 0);  // def_cfa_sf
    expect_rule(rule_at(0, {0x13, 0x7c}), RuleKind::from_rsp, 32, RbpPlace::same, 0);     // def_cfa_offset_sf
    expect_rule(rule_at(0, {0x0e, 24, 0x05, 6, 3}), RuleKind::from_rsp, 24, RbpPlace::at_cfa,
                -24);  // extended
    expect_rule(rule_at(0, {0x0e, 24, 0x11, 6, 3}), RuleKind::from_rsp, 24, RbpPlace::at_cfa,
                -24);  // extended_sf
    expect_rule(rule_at(0, {0x0e, 24, 0x86, 3, 0x06, 6}), RuleKind::from_rsp, 24, RbpPlace::same, 0);
    expect_rule(rule_at(0, {0x2e, 0x90, 0x01, 0x0e, 16}), RuleKind::from_rsp, 16, RbpPlace::same,
                0);  // args_size
}

// rsp + 8 + ((rip & 15) >= 11) * 8
const Program kPlt = {0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22};

TEST(CfaProgram, folds_plt_entries_to_a_constant_offset) {
    expect_rule(rule_at(0x30, kPlt), RuleKind::from_rsp, 8, RbpPlace::same, 0);
    expect_rule(rule_at(0x3a, kPlt), RuleKind::from_rsp, 8, RbpPlace::same, 0);
    expect_rule(rule_at(0x3b, kPlt), RuleKind::from_rsp, 16, RbpPlace::same, 0);
}

TEST(CfaProgram, folds_realigned_stacks) {
    // CFA = *(rbp - 8); rbp saved at rbp + 0.
    expect_rule(rule_at(0, {0x0f, 3, 0x76, 0x78, 0x06, 0x10, 6, 2, 0x76, 0}), RuleKind::at_rbp, -8,
                RbpPlace::at_rbp, 0);
}

TEST(CfaProgram, folds_assembly_that_keeps_the_caller_rsp_in_a_slot) {
    // CFA = *(rsp + 40) + 8, as in OpenSSL.
    expect_rule(rule_at(0, {0x0f, 5, 0x77, 40, 0x06, 0x23, 8}), RuleKind::at_rsp, 40, RbpPlace::same, 0, 8);
}

// CFA = *(rsp + 160), rip at rsp + 168, rbp at rsp + 120
const Program kSignalReturn = {0x0f, 4,    0x77, 0xa0, 0x01, 0x06, 0x10, 16,   3,
                               0x77, 0xa8, 0x01, 0x10, 6,    3,    0x77, 0xf8, 0};

TEST(CfaProgram, recognises_the_kernel_signal_frame) {
    EXPECT_EQ(rule_at(0, kSignalReturn, true).kind(), RuleKind::signal_frame);
    EXPECT_EQ(rule_at(0, kSignalReturn, false).kind(), RuleKind::general);
}

TEST(CfaProgram, ends_where_the_return_address_is_undefined) {
    EXPECT_EQ(rule_at(0, {0x07, 16}).kind(), RuleKind::end);
}

TEST(CfaProgram, leaves_other_rows_to_the_general_step) {
    EXPECT_EQ(rule_at(0, {0x0c, 3, 0xf0, 1}).kind(), RuleKind::general);           // CFA from rbx
    EXPECT_EQ(rule_at(0, {0x09, 16, 2}).kind(), RuleKind::general);                // rip in rcx
    EXPECT_EQ(rule_at(0, {0x0e, 16, 0x90, 2}).kind(), RuleKind::general);          // rip at CFA - 16
    EXPECT_EQ(rule_at(0, {0x0e, 16}, true).kind(), RuleKind::general);             // its caller is exact
    EXPECT_EQ(rule_at(0, {0x0e, 16, 0x14, 7, 1}).kind(), RuleKind::general);       // rsp = CFA - 8
    EXPECT_EQ(rule_at(0, {0x0e, 0x80, 0x80, 0x80, 8}).kind(), RuleKind::general);  // a frame of 16 MiB
}

TEST(CfaProgram, reports_what_cannot_be_followed) {
    EXPECT_EQ(rule_at(0, {0x0f, 2, 0x77, 8}, false, {}).kind(), RuleKind::unsupported) << "no return address";
    EXPECT_EQ(rule_at(0, {0x0f, 1, 0x22}).kind(), RuleKind::unsupported) << "an empty expression stack";
    EXPECT_EQ(rule_at(0, {0x0f, 3, 0x2f, 0, 0}).kind(), RuleKind::unsupported) << "a branch";
    EXPECT_EQ(rule_at(0, {0x0f, 5, 0x31, 0x31, 0x31, 0x31, 0x31}).kind(), RuleKind::unsupported)
        << "too deep";
}

TEST(CfaProgram, refuses_damaged_programs) {
    EXPECT_EQ(rule_at(0, {0x0e}).kind(), RuleKind::none) << "truncated operand";
    EXPECT_EQ(rule_at(0, {0x0f, 200, 1}).kind(), RuleKind::none) << "truncated expression";
    EXPECT_EQ(rule_at(0, {0x0b}).kind(), RuleKind::none) << "nothing was remembered";
    EXPECT_EQ(rule_at(0, {0x0a, 0x0a, 0x0a}).kind(), RuleKind::none) << "too much is remembered";
    EXPECT_EQ(rule_at(0, {0x3d}).kind(), RuleKind::none) << "an unknown opcode";
    EXPECT_EQ(rule_at(0, {}, false, {0xc6}).kind(), RuleKind::none) << "a CIE that restores";
    EXPECT_EQ(rule_at(0, {0x0d, 0x85, 0x01}).kind(), RuleKind::none) << "a register that there is not";
    EXPECT_EQ(rule_at(0, {0x0e, 0x80}).kind(), RuleKind::none) << "an endless number";
}

}  // namespace
}  // namespace offheap::unwind
