// Address → rule, from the loaded modules' unwind tables.
#pragma once

#include <stdint.h>

#include "native/wire/layout.h"
#include "preload/unwind/eh_frame.h"
#include "preload/unwind/rule.h"
#include "preload/unwind/unwind_row.h"

namespace offheap::unwind {

// A frame as the caller of capture() gets it: an address and its kind.
inline constexpr uint64_t kAddressMask = (uint64_t{1} << wire::kKeyKindShift) - 1;
inline constexpr uint64_t exact_frame(uint64_t address) {
    return address | wire::kKeyExactAddress << wire::kKeyKindShift;
}

// Whether a frame may be one, rather than what a stack's end or garbage looks like.
inline bool is_code(uint64_t frame) { return is_code_address(frame & ~exact_frame(0)); }

// Whether code that no module holds may be an interpreter's trampolines (Python -X perf): to know them by
// their instructions costs a question to the kernel for each such frame.
extern __attribute__((visibility("hidden"))) bool has_trampolines;

struct CompiledRule {
    Rule rule;
    bool is_lasting;  // false: code that no module holds; other code may come to lie there unnoticed
};

// The rule of a frame. Never `none`.
CompiledRule compile_rule(uint64_t frame);

// The whole row of a frame, for what a rule cannot hold. False if there is none.
bool find_row(uint64_t frame, Row& row, bool& caller_is_exact);

// What a row comes down to.
Rule fold_row(const Row& row, bool caller_is_exact);

}  // namespace offheap::unwind
