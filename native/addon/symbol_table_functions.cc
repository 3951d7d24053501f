#include "native/addon/symbol_table_functions.h"

#include <string.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "native/addon/bus_guard.h"
#include "native/addon/symbol_file.h"
#include "native/addon/symbol_table.h"
#include "native/addon/thrown.h"

namespace offheap::addon {
namespace {

// TABLE_GONE of src/wire/symbol-table.ts.
constexpr int32_t kGone = -2;
constexpr std::string_view kStubSuffix = "@plt";

std::span<const uint8_t> bytes_of(const Napi::Value& value) {
    if (!value.IsTypedArray()) return {};
    const auto array = value.As<Napi::Uint8Array>();
    return {array.Data(), array.ByteLength()};
}

// A table and what it is a view of: bytes of JavaScript or a file.
class OpenTable {
  public:
    explicit OpenTable(Napi::Uint8Array bytes) : bytes_(Napi::Persistent(bytes)) {
        const std::optional<SymbolTable> table = SymbolTable::over(bytes_of(bytes));
        if (table) table_ = *table;
        gone_ = !table;
    }

    explicit OpenTable(SymbolFile file) : file_(std::move(file)) {
        std::optional<SymbolTable> table;
        look([&] { table = SymbolTable::over(file_->table()); });
        if (table) table_ = *table;
        gone_ = gone_ || !table;
    }

    // Runs `look`, which reads the table, unless that is gone, and finds out whether it is.
    template <typename Look>
    void look(Look look) {
        if (gone_) return;
        if (!file_) return look();
        gone_ = !guarded_access(file_->base(), file_->bytes(), look);
    }

    bool gone() const { return gone_; }
    const SymbolTable& table() const { return table_; }
    size_t bytes() const { return file_ ? file_->table().size() : bytes_of(bytes_.Value()).size(); }
    // Empty for one of a file.
    std::span<const uint8_t> own_bytes() const {
        return file_ ? std::span<const uint8_t>() : bytes_of(bytes_.Value());
    }

  private:
    Napi::Reference<Napi::Uint8Array> bytes_;
    std::optional<SymbolFile> file_;
    SymbolTable table_;
    bool gone_ = false;
};

Napi::Value handle_of(Napi::Env env, std::unique_ptr<OpenTable> table) {
    if (table->gone()) return env.Undefined();
    return Napi::External<OpenTable>::New(env, table.release(),
                                          [](Napi::Env, OpenTable* owned) { delete owned; });
}

// Null with an exception pending where the first argument is no handle.
OpenTable* table_of(const Napi::CallbackInfo& info) {
    void* table = nullptr;
    if (napi_get_value_external(info.Env(), info[0], &table) == napi_ok) {
        return static_cast<OpenTable*>(table);
    }
    misuse(info.Env(), "the first argument is no symbol table");
    return nullptr;
}

// The second argument; -1 where it is no number.
double number_of(const Napi::CallbackInfo& info) {
    double number = -1;
    napi_get_value_double(info.Env(), info[1], &number);
    return number;
}

int64_t index_of(const Napi::CallbackInfo& info) {
    const double number = number_of(info);
    return number >= 0 && number <= INT32_MAX ? static_cast<int64_t>(number) : -1;
}

// None with an exception pending where an argument is of another kind.
std::optional<SymbolKey> key_of(Napi::Env env, const Napi::Value& path, const Napi::Value& key) {
    const std::span<const uint8_t> bytes = bytes_of(key);
    if (path.IsString() && bytes.size() == kSymbolKeyBytes) return SymbolKey(bytes.data(), kSymbolKeyBytes);
    misuse(env, "a path and a key of 32 bytes");
    return {};
}

// A name copied out of the file, behind which nothing is read from it any more.
struct Name {
    size_t bytes = 0;
    bool is_ascii = true;
    // Not set to zeros: that would take longer than all else.
    char text[SymbolTable::kLongestName + kStubSuffix.size()];

    void copy(const SymbolTable& table, int64_t index) {
        if (index < 0) return;
        const std::string_view name = table.name_of(static_cast<uint32_t>(index));
        unsigned char all = 0;
        for (size_t i = 0; i < name.size(); ++i) {
            text[i] = name[i];
            all |= static_cast<unsigned char>(text[i]);
        }
        bytes = name.size();
        is_ascii = all < 0x80;
        if (bytes == 0 || !table.is_stub(static_cast<uint32_t>(index))) return;
        memcpy(text + bytes, kStubSuffix.data(), kStubSuffix.size());
        bytes += kStubSuffix.size();
    }

    Napi::Value value(Napi::Env env) const {
        if (bytes == 0) return env.Null();
        napi_value result = nullptr;
        const auto create = is_ascii ? napi_create_string_latin1 : napi_create_string_utf8;
        if (create(env, text, bytes, &result) != napi_ok) return env.Null();
        return Napi::Value(env, result);
    }
};

}  // namespace

Napi::Value symbol_table(const Napi::CallbackInfo& info) {
    if (!info[0].IsTypedArray()) return info.Env().Undefined();
    return handle_of(info.Env(), std::make_unique<OpenTable>(info[0].As<Napi::Uint8Array>()));
}

Napi::Value open_symbol_table(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    const std::optional<SymbolKey> key = key_of(env, info[0], info[1]);
    if (!key) return env.Undefined();
    std::optional<SymbolFile> file = SymbolFile::open(info[0].As<Napi::String>(), *key);
    return file ? handle_of(env, std::make_unique<OpenTable>(std::move(*file))) : env.Undefined();
}

Napi::Value save_symbol_table(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    const OpenTable* table = table_of(info);
    if (table == nullptr) return env.Undefined();
    const std::optional<SymbolKey> key = key_of(env, info[1], info[2]);
    if (!key) return env.Undefined();
    if (MaybeFailure failure = SymbolFile::create(info[1].As<Napi::String>(), *key, table->own_bytes())) {
        return fail(env, *failure);
    }
    return env.Undefined();
}

Napi::Value symbol_table_figures(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    OpenTable* table = table_of(info);
    if (table == nullptr) return env.Undefined();
    std::string link;
    table->look([&] { link = table->table().debug_link(); });
    Napi::Object result = Napi::Object::New(env);
    result.Set("functions", table->table().count());
    result.Set("named", table->table().named());
    result.Set("bytes", static_cast<double>(table->bytes()));
    result.Set("isFull", table->table().full());
    result.Set("debugLink", link.empty() || table->gone() ? env.Null() : Napi::String::New(env, link));
    return result;
}

Napi::Value function_index_at(const Napi::CallbackInfo& info) {
    OpenTable* table = table_of(info);
    if (table == nullptr) return info.Env().Undefined();
    const double address = number_of(info);
    int32_t index = -1;
    table->look([&] { index = table->table().index_at(address); });
    return Napi::Number::New(info.Env(), table->gone() ? kGone : index);
}

Napi::Value function_address(const Napi::CallbackInfo& info) {
    OpenTable* table = table_of(info);
    if (table == nullptr) return info.Env().Undefined();
    const int64_t index = index_of(info);
    uint64_t address = 0;
    table->look([&] {
        if (index >= 0) address = table->table().address_of(static_cast<uint32_t>(index));
    });
    return Napi::Number::New(info.Env(), static_cast<double>(address));
}

Napi::Value function_name(const Napi::CallbackInfo& info) {
    OpenTable* table = table_of(info);
    if (table == nullptr) return info.Env().Undefined();
    const int64_t index = index_of(info);
    Name name;
    table->look([&] { name.copy(table->table(), index); });
    return table->gone() ? info.Env().Null() : name.value(info.Env());
}

Napi::Value function_name_at(const Napi::CallbackInfo& info) {
    OpenTable* table = table_of(info);
    if (table == nullptr) return info.Env().Undefined();
    const double address = number_of(info);
    Name name;
    table->look([&] { name.copy(table->table(), table->table().index_at(address)); });
    return table->gone() ? info.Env().Undefined() : name.value(info.Env());
}

}  // namespace offheap::addon
