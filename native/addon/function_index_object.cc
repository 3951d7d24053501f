#include "native/addon/function_index_object.h"

#include "native/addon/function_index.h"
#include "native/addon/memory_arguments.h"
#include "native/addon/plt_stubs.h"
#include "native/addon/symbol_table.h"
#include "native/addon/thrown.h"
#include "native/addon/unwind_ranges.h"

namespace offheap::addon {
namespace {

std::span<const uint8_t> bytes_of(const Napi::Value& value) {
    if (!value.IsTypedArray()) return {};
    const auto array = value.As<Napi::Uint8Array>();
    return {array.Data(), array.ByteLength()};
}

uint64_t address_of(const Napi::Value& value) {
    const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : 0;
    // Written so that NaN fails the test: casting it to an integer would be undefined.
    return number >= 0 && number < 0x1p64 ? static_cast<uint64_t>(number) : 0;
}

// All of them, so that positions stay; what is no range is empty.
std::vector<AddressRange> sections_of(const Napi::Value& value) {
    std::vector<AddressRange> ranges;
    if (!is_numbers(value)) return ranges;
    const auto bounds = value.As<Napi::Float64Array>();
    for (size_t i = 0; i + 1 < bounds.ElementLength(); i += 2) {
        const bool is_range = bounds[i] >= 0 && bounds[i + 1] > bounds[i] && bounds[i + 1] < 0x1p53;
        ranges.push_back(
            is_range ? AddressRange{static_cast<uint64_t>(bounds[i]), static_cast<uint64_t>(bounds[i + 1])}
                     : AddressRange{0, 0});
    }
    return ranges;
}

StubInput stubs_of(const Napi::Object& value) {
    StubInput input;
    input.symbols = bytes_of(value.Get("symbols"));
    const auto sections = value.Get("sections").As<Napi::Array>();
    for (uint32_t i = 0; i < sections.Length(); ++i) {
        const auto section = sections.Get(i).As<Napi::Object>();
        input.sections.push_back({bytes_of(section.Get("code")), address_of(section.Get("address")),
                                  static_cast<uint32_t>(address_of(section.Get("stubBytes")))});
    }
    const auto relocations = value.Get("relocations").As<Napi::Array>();
    for (uint32_t i = 0; i < relocations.Length(); ++i) {
        input.relocations.push_back(bytes_of(relocations.Get(i)));
    }
    return input;
}

}  // namespace

Napi::Value function_index(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (!info[0].IsObject()) {
        return misuse(env, "functionIndex({ tables, code, stubs, unwind })");
    }
    const auto argument = info[0].As<Napi::Object>();
    IndexInput input;
    const auto tables = argument.Get("tables").As<Napi::Array>();
    for (uint32_t i = 0; i < tables.Length(); ++i) {
        const auto table = tables.Get(i).As<Napi::Object>();
        input.tables.push_back({bytes_of(table.Get("symbols")), bytes_of(table.Get("names")),
                                sections_of(table.Get("sections"))});
    }
    if (is_numbers(argument.Get("code"))) input.code = ranges_of(argument.Get("code"));
    const Napi::Value stubs = argument.Get("stubs");
    if (stubs.IsObject()) {
        input.stubs = plt_stubs(stubs_of(stubs.As<Napi::Object>()));
        input.stub_names = bytes_of(stubs.As<Napi::Object>().Get("names"));
    }
    const Napi::Value unwind = argument.Get("unwind");
    if (unwind.IsObject()) {
        const auto section = unwind.As<Napi::Object>();
        input.unwind = unwind_ranges(bytes_of(section.Get("section")), address_of(section.Get("address")));
    }
    FunctionIndex index = index_functions(input);
    index.full = argument.Get("isFull").ToBoolean();
    if (argument.Get("debugLink").IsString()) {
        const std::string link = argument.Get("debugLink").As<Napi::String>();
        index.debug_link = static_cast<uint32_t>(index.names.size());
        index.names.insert(index.names.end(), link.c_str(), link.c_str() + link.size() + 1);
    }
    auto result = Napi::Uint8Array::New(env, symbol_table_size(index));
    lay_out_symbol_table(index, result.Data());
    return result;
}

}  // namespace offheap::addon
