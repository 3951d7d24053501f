// The index of an ELF file's functions as JavaScript sees it; the other side is
// src/symbolize/symbol-reader.ts.
#pragma once

#include <napi.h>

namespace offheap::addon {

// functionIndex({ tables, code, stubs, unwind, isFull, debugLink }) → Uint8Array:
// tables: [{ symbols, names, sections: Float64Array of [start, end, …] by index }]
// code: Float64Array of [start, end, …]: the executable segments
// stubs: null or { sections: [{ code, address, stubBytes }], relocations: [bytes], symbols, names }
// unwind: null or { section, address }: .eh_frame
// isFull, debugLink (text or null): as in FunctionIndex
// The result are the bytes of a symbol table: symbol_table.h.
Napi::Value function_index(const Napi::CallbackInfo& info);

}  // namespace offheap::addon
