// The index of an ELF file's functions as JavaScript sees it; the other side is
// src/symbolize/function-table.ts.
#pragma once

#include <napi.h>

namespace offheap::addon {

// functionIndex({ tables, code, stubs, unwind }) → Uint8Array:
// tables: [{ symbols, names, sections: Float64Array of [start, end, …] by index }]
// code: Float64Array of [start, end, …]: the executable segments
// stubs: null or { sections: [{ code, address, stubBytes }], relocations: [bytes], symbols, names }
// unwind: null or { section, address }: .eh_frame
// The result is eight numbers of 32 bits: base (two), functions, boundaries, bytes of names, functions with a
// name, two of 0; then boundaries, owners, addresses, name offsets, as in FunctionIndex, and the names.
Napi::Value function_index(const Napi::CallbackInfo& info);

}  // namespace offheap::addon
