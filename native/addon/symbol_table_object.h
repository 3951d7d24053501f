// Symbol tables as JavaScript sees them; the other side is NativeSymbolTable in src/wire/addon.ts.
#pragma once

#include <napi.h>

#include <optional>

#include "native/addon/symbol_file.h"
#include "native/addon/symbol_table.h"

namespace offheap::addon {

// new SymbolTable(bytes), or SymbolTable.open(path, key) → one of a file of the cache, null where there is
// none. A table of a file that was cut short meanwhile is gone: it knows nothing any more, and says so.
class SymbolTableObject : public Napi::ObjectWrap<SymbolTableObject> {
  public:
    static Napi::Function define(Napi::Env env);
    explicit SymbolTableObject(const Napi::CallbackInfo& info);

  private:
    static Napi::Value open(const Napi::CallbackInfo& info);
    Napi::Value index_at(const Napi::CallbackInfo& info);
    Napi::Value address_of(const Napi::CallbackInfo& info);
    Napi::Value raw_name(const Napi::CallbackInfo& info);
    Napi::Value raw_name_at(const Napi::CallbackInfo& info);
    Napi::Value save(const Napi::CallbackInfo& info);
    Napi::Value figures(const Napi::CallbackInfo& info);

    // Runs `look`, which reads the table, unless that is gone, and finds out whether it is.
    template <typename Look>
    void look(Look look);

    // What the table is a view of: one of the two.
    Napi::Reference<Napi::Uint8Array> bytes_;
    std::optional<SymbolFile> file_;
    SymbolTable table_;
    bool gone_ = false;
};

}  // namespace offheap::addon
