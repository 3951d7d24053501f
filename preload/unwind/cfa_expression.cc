#include "preload/unwind/cfa_expression.h"

namespace offheap::unwind {
namespace {

constexpr uint32_t kMaxDepth = 4;  // PLT entries need three
constexpr Term kUnknown{};

enum Operation : uint8_t {
    kDeref = 0x06,
    kConst1u = 0x08,
    kConst1s = 0x09,
    kConst2u = 0x0a,
    kConst2s = 0x0b,
    kConst4u = 0x0c,
    kConst4s = 0x0d,
    kConst8u = 0x0e,
    kConst8s = 0x0f,
    kConstU = 0x10,
    kConstS = 0x11,
    kAnd = 0x1a,
    kMinus = 0x1c,
    kMul = 0x1e,
    kOr = 0x21,
    kPlus = 0x22,
    kPlusUConst = 0x23,
    kShl = 0x24,
    kShr = 0x25,
    kEq = 0x29,
    kGe = 0x2a,
    kGt = 0x2b,
    kLe = 0x2c,
    kLt = 0x2d,
    kNe = 0x2e,
    kLit0 = 0x30,
    kLit31 = 0x4f,
    kBreg0 = 0x70,
    kBreg31 = 0x8f,
    kNop = 0x96,
};

Term constant(int64_t value) { return {Form::constant, 0, 0, value}; }

Term add(Term term, int64_t value) {
    if (term.form == Form::indirect) {
        int32_t addend;
        if (__builtin_add_overflow(int64_t{term.addend}, value, &addend)) return kUnknown;
        term.addend = addend;
    } else if (__builtin_add_overflow(term.offset, value, &term.offset)) {
        return kUnknown;
    }
    return term;
}

Term deref(Term term) {
    if (term.form != Form::sum) return kUnknown;
    return {Form::indirect, term.reg, 0, term.offset};
}

Term combine(uint8_t operation, Term left, Term right) {
    if (operation == kPlus && left.form == Form::constant) return add(right, left.offset);
    if (right.form != Form::constant) return kUnknown;
    if (operation == kPlus) return add(left, right.offset);
    if (operation == kMinus) return right.offset == INT64_MIN ? kUnknown : add(left, -right.offset);
    if (left.form != Form::constant) return kUnknown;
    const auto a = static_cast<uint64_t>(left.offset);
    const auto b = static_cast<uint64_t>(right.offset);
    switch (operation) {
        case kAnd:
            return constant(left.offset & right.offset);
        case kOr:
            return constant(left.offset | right.offset);
        case kMul:
            return constant(static_cast<int64_t>(a * b));
        case kShl:
            return constant(b < 64 ? static_cast<int64_t>(a << b) : 0);
        case kShr:
            return constant(b < 64 ? static_cast<int64_t>(a >> b) : 0);
        case kEq:
            return constant(left.offset == right.offset);
        case kGe:
            return constant(left.offset >= right.offset);
        case kGt:
            return constant(left.offset > right.offset);
        case kLe:
            return constant(left.offset <= right.offset);
        case kLt:
            return constant(left.offset < right.offset);
        case kNe:
            return constant(left.offset != right.offset);
        default:
            return kUnknown;
    }
}

bool is_push(uint8_t operation) {
    return (operation >= kConst1u && operation <= kConstS) || (operation >= kLit0 && operation <= kLit31) ||
           (operation >= kBreg0 && operation <= kBreg31);
}

Term pushed(uint8_t operation, ByteReader& reader, uint64_t address) {
    if (operation >= kBreg0 && operation <= kBreg31) {
        const auto reg = static_cast<uint8_t>(operation - kBreg0);
        const int64_t offset = reader.sleb();
        if (reg == kDwarfRip) return add(constant(static_cast<int64_t>(address)), offset);
        return reg < kDwarfRip ? Term{Form::sum, reg, 0, offset} : kUnknown;
    }
    switch (operation) {
        case kConst1u:
            return constant(reader.u8());
        case kConst1s:
            return constant(static_cast<int8_t>(reader.u8()));
        case kConst2u:
            return constant(reader.u16());
        case kConst2s:
            return constant(static_cast<int16_t>(reader.u16()));
        case kConst4u:
            return constant(reader.u32());
        case kConst4s:
            return constant(static_cast<int32_t>(reader.u32()));
        case kConst8u:
        case kConst8s:
            return constant(static_cast<int64_t>(reader.u64()));
        case kConstU:
            return constant(static_cast<int64_t>(reader.uleb()));
        case kConstS:
            return constant(reader.sleb());
        default:
            return constant(operation - kLit0);
    }
}

}  // namespace

// Branches are unsupported, so the loop ends with the bytes.
Term fold_expression(Bytes expression, uint64_t address) {
    ByteReader reader(expression);
    Term stack[kMaxDepth];
    uint32_t depth = 0;
    while (!reader.at_end()) {
        const uint8_t operation = reader.u8();
        if (operation == kNop) continue;
        if (is_push(operation)) {
            if (depth == kMaxDepth) return kUnknown;
            stack[depth++] = pushed(operation, reader, address);
        } else if (depth >= 1 && operation == kDeref) {
            stack[depth - 1] = deref(stack[depth - 1]);
        } else if (depth >= 1 && operation == kPlusUConst) {
            stack[depth - 1] = add(stack[depth - 1], static_cast<int64_t>(reader.uleb()));
        } else if (depth >= 2) {
            --depth;
            stack[depth - 1] = combine(operation, stack[depth - 1], stack[depth]);
        } else {
            return kUnknown;
        }
        if (stack[depth - 1].form == Form::unknown) return kUnknown;
    }
    return reader.ok() && depth == 1 ? stack[0] : kUnknown;
}

}  // namespace offheap::unwind
