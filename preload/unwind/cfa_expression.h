// Folds a DWARF expression into one term.
#pragma once

#include "preload/unwind/byte_reader.h"
#include "preload/unwind/unwind_row.h"

namespace offheap::unwind {

// `address` is the instruction pointer, which makes the expressions of PLT entries register + constant.
// Anything that doesn't come down to one term is Form::unknown.
Term fold_expression(Bytes expression, uint64_t address);

}  // namespace offheap::unwind
