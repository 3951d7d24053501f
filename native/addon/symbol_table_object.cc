#include "native/addon/symbol_table_object.h"

#include <string.h>

#include "native/addon/bus_guard.h"

namespace offheap::addon {
namespace {

// TABLE_GONE of src/wire/addon.ts.
constexpr int32_t kGone = -2;
constexpr std::string_view kStubSuffix = "@plt";

std::span<const uint8_t> bytes_of(const Napi::Value& value) {
    if (!value.IsTypedArray()) return {};
    const auto array = value.As<Napi::Uint8Array>();
    return {array.Data(), array.ByteLength()};
}

// -1 where it is none.
double number_of(const Napi::CallbackInfo& info) {
    double number = -1;
    napi_get_value_double(info.Env(), info[0], &number);
    return number;
}

int64_t index_of(const Napi::CallbackInfo& info) {
    const double number = number_of(info);
    return number >= 0 && number <= INT32_MAX ? static_cast<int64_t>(number) : -1;
}

// Null with an exception pending where an argument is of another kind.
std::optional<SymbolKey> key_of(const Napi::CallbackInfo& info) {
    const std::span<const uint8_t> key = bytes_of(info[1]);
    if (info[0].IsString() && key.size() == kSymbolKeyBytes) return SymbolKey(key.data(), kSymbolKeyBytes);
    Napi::TypeError::New(info.Env(), "a path and a key of 32 bytes").ThrowAsJavaScriptException();
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

Napi::Function SymbolTableObject::define(Napi::Env env) {
    using Self = SymbolTableObject;
    return DefineClass(env, "SymbolTable",
                       {
                           StaticMethod<&Self::open>("open"),
                           InstanceMethod<&Self::index_at>("indexAt"),
                           InstanceMethod<&Self::address_of>("addressOf"),
                           InstanceMethod<&Self::raw_name>("rawName"),
                           InstanceMethod<&Self::raw_name_at>("rawNameAt"),
                           InstanceMethod<&Self::save>("save"),
                           InstanceMethod<&Self::figures>("figures"),
                       });
}

Napi::Value SymbolTableObject::open(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    const std::optional<SymbolKey> key = key_of(info);
    if (!key) return env.Undefined();
    std::optional<SymbolFile> file = SymbolFile::open(info[0].As<Napi::String>().Utf8Value(), *key);
    if (!file) return env.Null();
    bool is_table = false;
    guarded_access(file->base(), file->bytes(),
                   [&] { is_table = SymbolTable::over(file->table()).has_value(); });
    if (!is_table) return env.Null();
    return info.This().As<Napi::Function>().New({Napi::External<SymbolFile>::New(env, &*file)});
}

SymbolTableObject::SymbolTableObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<SymbolTableObject>(info) {
    std::optional<SymbolTable> table;
    if (info[0].IsExternal()) {
        file_.emplace(std::move(*info[0].As<Napi::External<SymbolFile>>().Data()));
        if (!guarded_access(file_->base(), file_->bytes(),
                            [&] { table = SymbolTable::over(file_->table()); })) {
            table.reset();
        }
    } else if (info[0].IsTypedArray()) {
        bytes_ = Napi::Persistent(info[0].As<Napi::Uint8Array>());
        table = SymbolTable::over(bytes_of(info[0]));
    }
    if (table) {
        table_ = *table;
    } else {
        Napi::RangeError::New(info.Env(), "SymbolTable(bytes): no symbol table").ThrowAsJavaScriptException();
    }
}

template <typename Look>
void SymbolTableObject::look(Look look) {
    if (!file_) return look();
    if (!gone_) gone_ = !guarded_access(file_->base(), file_->bytes(), look);
}

Napi::Value SymbolTableObject::index_at(const Napi::CallbackInfo& info) {
    const double address = number_of(info);
    int32_t index = -1;
    look([&] { index = table_.index_at(address); });
    return Napi::Number::New(info.Env(), gone_ ? kGone : index);
}

Napi::Value SymbolTableObject::address_of(const Napi::CallbackInfo& info) {
    const int64_t index = index_of(info);
    uint64_t address = 0;
    look([&] {
        if (index >= 0) address = table_.address_of(static_cast<uint32_t>(index));
    });
    return Napi::Number::New(info.Env(), static_cast<double>(address));
}

Napi::Value SymbolTableObject::raw_name(const Napi::CallbackInfo& info) {
    const int64_t index = index_of(info);
    Name name;
    look([&] { name.copy(table_, index); });
    return gone_ ? info.Env().Null() : name.value(info.Env());
}

Napi::Value SymbolTableObject::raw_name_at(const Napi::CallbackInfo& info) {
    const double address = number_of(info);
    Name name;
    look([&] { name.copy(table_, table_.index_at(address)); });
    return gone_ ? info.Env().Undefined() : name.value(info.Env());
}

Napi::Value SymbolTableObject::save(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    const std::optional<SymbolKey> key = key_of(info);
    if (!key || bytes_.IsEmpty()) return env.Undefined();
    const std::string path = info[0].As<Napi::String>();
    if (MaybeFailure failure = SymbolFile::create(path, *key, bytes_of(bytes_.Value()))) {
        Napi::Error error = Napi::Error::New(env, failure->message);
        error.Set("code", failure->code);
        error.ThrowAsJavaScriptException();
    }
    return env.Undefined();
}

Napi::Value SymbolTableObject::figures(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    const size_t bytes = file_ ? file_->table().size() : bytes_of(bytes_.Value()).size();
    Napi::Object result = Napi::Object::New(env);
    result.Set("functions", table_.count());
    result.Set("named", table_.named());
    result.Set("bytes", static_cast<double>(bytes));
    return result;
}

}  // namespace offheap::addon
