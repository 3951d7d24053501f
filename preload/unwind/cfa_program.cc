#include "preload/unwind/cfa_program.h"

#include "preload/unwind/cfa_expression.h"

namespace offheap::unwind {
namespace {

constexpr uint32_t kMaxRemembered = 2;  // compilers nest one; rows must fit a tiny stack

// The opcodes with an operand in their low six bits.
constexpr uint8_t kHighMask = 0xc0;
constexpr uint8_t kAdvanceLoc = 0x40;
constexpr uint8_t kOffset = 0x80;
constexpr uint8_t kRestore = 0xc0;

enum Opcode : uint8_t {
    kNop = 0x00,
    kSetLoc = 0x01,
    kAdvanceLoc1 = 0x02,
    kAdvanceLoc2 = 0x03,
    kAdvanceLoc4 = 0x04,
    kOffsetExtended = 0x05,
    kRestoreExtended = 0x06,
    kUndefined = 0x07,
    kSameValue = 0x08,
    kRegister = 0x09,
    kRememberState = 0x0a,
    kRestoreState = 0x0b,
    kDefCfa = 0x0c,
    kDefCfaRegister = 0x0d,
    kDefCfaOffset = 0x0e,
    kDefCfaExpression = 0x0f,
    kExpression = 0x10,
    kOffsetExtendedSf = 0x11,
    kDefCfaSf = 0x12,
    kDefCfaOffsetSf = 0x13,
    kValOffset = 0x14,
    kValOffsetSf = 0x15,
    kValExpression = 0x16,
    kGnuArgsSize = 0x2e,
    kGnuNegativeOffsetExtended = 0x2f,
};

Location saved_at(Term term) {
    return term.form == Form::sum ? locate(Place::at_register, term.offset, term.reg)
                                  : locate(Place::unsupported);
}

Location valued(Term term) {
    if (term.form == Form::sum) return locate(Place::register_value, term.offset, term.reg);
    // The word at register + offset is where the register was saved.
    if (term.form == Form::indirect && term.addend == 0)
        return locate(Place::at_register, term.offset, term.reg);
    return locate(Place::unsupported);
}

class Interpreter {
  public:
    Interpreter(const FrameDescription& description, uint64_t address, Row& row)
        : description_(description), address_(address), row_(row) {}

    bool run() {
        row_.cfa = {};
        for (Location& column : row_.columns) column = locate(Place::same);
        row_.columns[kRsp] = locate(Place::cfa_value);
        row_.columns[kRip] = locate(Place::unsupported);
        if (!execute(description_.common_program)) return false;
        common_ = row_;
        has_common_ = true;
        location_ = description_.function;
        return execute(description_.program);
    }

  private:
    bool execute(Bytes program) {
        ByteReader reader(program);
        while (!reader.at_end() && location_ <= address_) {
            const uint8_t opcode = reader.u8();
            const uint64_t operand = opcode & ~kHighMask;
            bool is_known = true;
            switch (opcode & kHighMask) {
                case kAdvanceLoc:
                    advance(operand);
                    break;
                case kOffset:
                    set(operand, locate(Place::at_cfa, factored(static_cast<int64_t>(reader.uleb()))));
                    break;
                case kRestore:
                    is_known = restore(operand);
                    break;
                default:
                    is_known = execute_extended(opcode, reader);
            }
            if (!is_known || !reader.ok()) return false;
        }
        return true;
    }

    bool execute_extended(uint8_t opcode, ByteReader& reader) {
        switch (opcode) {
            case kNop:
                return true;
            case kAdvanceLoc1:
                advance(reader.u8());
                return true;
            case kAdvanceLoc2:
                advance(reader.u16());
                return true;
            case kAdvanceLoc4:
                advance(reader.u32());
                return true;
            case kRememberState:
                if (remembered_ == kMaxRemembered) return false;
                saved_[remembered_++] = row_;
                return true;
            case kRestoreState:
                if (remembered_ == 0) return false;
                row_ = saved_[--remembered_];
                return true;
            case kGnuArgsSize:
                reader.uleb();
                return true;
            case kDefCfa:
            case kDefCfaSf:
            case kDefCfaRegister:
            case kDefCfaOffset:
            case kDefCfaOffsetSf:
            case kDefCfaExpression:
                return define_cfa(opcode, reader);
            case kRestoreExtended:
                return restore(reader.uleb());
            default:
                return set_column(opcode, reader);
        }
    }

    bool define_cfa(uint8_t opcode, ByteReader& reader) {
        Term& cfa = row_.cfa;
        if (opcode == kDefCfaExpression) {
            cfa = fold_expression(reader.take(reader.uleb()), address_);
            return true;
        }
        if (opcode == kDefCfa || opcode == kDefCfaSf || opcode == kDefCfaRegister) {
            const uint64_t reg = reader.uleb();
            if (reg >= kDwarfRip) return false;
            const int64_t offset = opcode == kDefCfaRegister ? cfa.offset : 0;
            cfa = {Form::sum, static_cast<uint8_t>(reg), 0, offset};
        }
        if (opcode == kDefCfa || opcode == kDefCfaOffset) cfa.offset = static_cast<int64_t>(reader.uleb());
        if (opcode == kDefCfaSf || opcode == kDefCfaOffsetSf) cfa.offset = factored(reader.sleb());
        return cfa.form == Form::sum;
    }

    bool set_column(uint8_t opcode, ByteReader& reader) {
        const uint64_t reg = reader.uleb();
        switch (opcode) {
            case kUndefined:
                set(reg, locate(Place::undefined));
                return true;
            case kSameValue:
                set(reg, locate(Place::same));
                return true;
            case kRegister: {
                const uint64_t from = reader.uleb();
                set(reg, from < kDwarfRegisters ? locate(Place::register_value, 0, static_cast<uint8_t>(from))
                                                : locate(Place::unsupported));
                return true;
            }
            case kOffsetExtended:
                set(reg, locate(Place::at_cfa, factored(static_cast<int64_t>(reader.uleb()))));
                return true;
            case kOffsetExtendedSf:
                set(reg, locate(Place::at_cfa, factored(reader.sleb())));
                return true;
            case kGnuNegativeOffsetExtended:
                set(reg, locate(Place::at_cfa, factored(static_cast<int64_t>(~reader.uleb() + 1))));
                return true;
            case kValOffset:
                set(reg, locate(Place::cfa_value, factored(static_cast<int64_t>(reader.uleb()))));
                return true;
            case kValOffsetSf:
                set(reg, locate(Place::cfa_value, factored(reader.sleb())));
                return true;
            case kExpression:
                set(reg, saved_at(fold_expression(reader.take(reader.uleb()), address_)));
                return true;
            case kValExpression:
                set(reg, valued(fold_expression(reader.take(reader.uleb()), address_)));
                return true;
            default:
                // DW_CFA_set_loc among them: its encoded address has not been seen on x86-64.
                return false;
        }
    }

    void advance(uint64_t units) { location_ += units * description_.code_alignment; }

    // Wraps on nonsense, which `locate` and the walk's bounds then refuse.
    int64_t factored(int64_t value) const {
        return static_cast<int64_t>(static_cast<uint64_t>(value) *
                                    static_cast<uint64_t>(description_.data_alignment));
    }

    Column column(uint64_t reg) const { return reg == description_.return_column ? kRip : column_of(reg); }

    void set(uint64_t reg, Location location) {
        const Column target = column(reg);
        if (target != kColumns) row_.columns[target] = location;
    }

    bool restore(uint64_t reg) {
        if (!has_common_) return false;
        const Column target = column(reg);
        if (target != kColumns) row_.columns[target] = common_.columns[target];
        return true;
    }

    const FrameDescription& description_;
    const uint64_t address_;
    Row& row_;
    uint64_t location_ = 0;
    uint32_t remembered_ = 0;
    bool has_common_ = false;
    Row common_;
    Row saved_[kMaxRemembered];
};

}  // namespace

bool run_program(const FrameDescription& description, uint64_t address, Row& row) {
    Interpreter interpreter(description, address, row);
    return interpreter.run();
}

}  // namespace offheap::unwind
