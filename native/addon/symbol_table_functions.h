// Symbol tables as JavaScript sees them; the other side is src/wire/symbol-table.ts.
#pragma once

#include <napi.h>

namespace offheap::addon {

// Tables are handles, since a look-up through an object of a class takes twice as long; what is no handle
// throws. A table of a file that was cut short meanwhile is gone: it knows nothing any more, and says so.
// symbolTable(bytes) → handle; undefined where the bytes are none
Napi::Value symbol_table(const Napi::CallbackInfo& info);
// openSymbolTable(path, key) → handle of a table in the cache on disk; undefined where there is none
Napi::Value open_symbol_table(const Napi::CallbackInfo& info);
// saveSymbolTable(handle, path, key)
Napi::Value save_symbol_table(const Napi::CallbackInfo& info);
// symbolTableFigures(handle) → { functions, named, bytes, isFull, debugLink }
Napi::Value symbol_table_figures(const Napi::CallbackInfo& info);
// functionIndexAt(handle, address) → number: -1 for none, -2 where the table is gone
Napi::Value function_index_at(const Napi::CallbackInfo& info);
// functionAddress(handle, index) → number
Napi::Value function_address(const Napi::CallbackInfo& info);
// functionName(handle, index) → text or null
Napi::Value function_name(const Napi::CallbackInfo& info);
// functionNameAt(handle, address) → text or null; undefined where the table is gone
Napi::Value function_name_at(const Napi::CallbackInfo& info);

}  // namespace offheap::addon
