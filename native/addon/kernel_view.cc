#include "native/addon/kernel_view.h"

#include <errno.h>
#include <string.h>

#include <string>
#include <vector>

#include "native/addon/memory_map.h"
#include "native/addon/residency.h"

namespace offheap::addon {
namespace {

void refuse(Napi::Env env, int process_id, const char* what, int number) {
    const bool gone = number == ENOENT || number == ESRCH;
    Napi::Error error =
        Napi::Error::New(env, std::string(what) + " of process " + std::to_string(process_id) +
                                  " can't be read: " + strerror(number));
    error.Set("code", gone ? "PROCESS_MISSING" : "PROCESS_REFUSED");
    error.ThrowAsJavaScriptException();
}

bool has_ranges(const Napi::CallbackInfo& info) {
    if (info[0].IsNumber() && info[1].IsTypedArray() &&
        info[1].As<Napi::TypedArray>().TypedArrayType() == napi_float64_array) {
        return true;
    }
    Napi::TypeError::New(info.Env(), "(pid, ranges): a number and a Float64Array")
        .ThrowAsJavaScriptException();
    return false;
}

// Reads the range at an index; false where it makes no sense. Written so that NaN fails the test: casting it
// to an integer would be undefined.
bool read_range(const Napi::Float64Array& ranges, size_t index, AddressRange& range) {
    const double start = ranges[2 * index];
    const double end = ranges[2 * index + 1];
    if (!(start >= 0 && end >= start && end < 0x1p53)) return false;
    range = {static_cast<uint64_t>(start), static_cast<uint64_t>(end)};
    return true;
}

bool open_page_map(const Napi::CallbackInfo& info, PageMap& page_map) {
    if (!page_map.is_open()) {
        refuse(info.Env(), info[0].As<Napi::Number>().Int32Value(), "the page map", page_map.open_errno());
        return false;
    }
    if (info[2].IsBoolean() && info[2].As<Napi::Boolean>().Value()) page_map.use_entries();
    return true;
}

template <typename Array, typename Field>
Array column(Napi::Env env, const std::vector<MappedRange>& ranges, Field field) {
    Array array = Array::New(env, ranges.size());
    auto* values = array.Data();
    for (size_t i = 0; i < ranges.size(); ++i) {
        values[i] = static_cast<std::decay_t<decltype(*values)>>(ranges[i].*field);
    }
    return array;
}

}  // namespace

Napi::Value residency(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (!has_ranges(info)) return env.Undefined();
    PageMap page_map(info[0].As<Napi::Number>().Int32Value());
    if (!open_page_map(info, page_map)) return env.Undefined();
    const auto ranges = info[1].As<Napi::Float64Array>();
    const size_t count = ranges.ElementLength() / 2;
    auto result = Napi::Float64Array::New(env, 2 * count);
    for (size_t i = 0; i < count; ++i) {
        AddressRange range;
        if (!read_range(ranges, i, range)) continue;
        const PageBytes measured = page_map.measure(range.start, range.end);
        result[2 * i] = static_cast<double>(measured.resident());
        result[2 * i + 1] = static_cast<double>(measured.swap);
    }
    return result;
}

Napi::Value page_bytes(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (!has_ranges(info)) return env.Undefined();
    PageMap page_map(info[0].As<Napi::Number>().Int32Value());
    if (!open_page_map(info, page_map)) return env.Undefined();
    const auto bounds = info[1].As<Napi::Float64Array>();
    std::vector<AddressRange> ranges(bounds.ElementLength() / 2);
    uint64_t last_end = 0;
    for (size_t i = 0; i < ranges.size(); ++i) {
        if (!read_range(bounds, i, ranges[i]) || ranges[i].start < last_end) {
            Napi::RangeError::New(env, "pageBytes: ranges by address, apart from one another")
                .ThrowAsJavaScriptException();
            return env.Undefined();
        }
        last_end = ranges[i].end;
    }
    std::vector<PageBytes> measured;
    const uint64_t between = page_map.sweep(ranges, measured);

    auto bytes = Napi::Float64Array::New(env, 4 * ranges.size());
    double* values = bytes.Data();
    for (const PageBytes& each : measured) {
        *values++ = static_cast<double>(each.anonymous);
        *values++ = static_cast<double>(each.file);
        *values++ = static_cast<double>(each.swap);
        *values++ = static_cast<double>(each.huge);
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("bytes", bytes);
    result.Set("betweenBytes", static_cast<double>(between));
    return result;
}

Napi::Value mappings(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    const int process_id = info[0].ToNumber().Int32Value();
    MemoryMap map;
    const MapReading reading = read_memory_map(process_id, map);
    if (reading == MapReading::kUnsupported) return env.Null();
    if (reading == MapReading::kFailed) {
        refuse(env, process_id, "the memory map", errno);
        return env.Undefined();
    }
    Napi::Object result = Napi::Object::New(env);
    const auto& ranges = map.ranges;
    result.Set("starts", column<Napi::Float64Array>(env, ranges, &MappedRange::start));
    result.Set("ends", column<Napi::Float64Array>(env, ranges, &MappedRange::end));
    result.Set("offsets", column<Napi::Float64Array>(env, ranges, &MappedRange::offset));
    result.Set("inodes", column<Napi::Float64Array>(env, ranges, &MappedRange::inode));
    result.Set("majors", column<Napi::Uint32Array>(env, ranges, &MappedRange::device_major));
    result.Set("minors", column<Napi::Uint32Array>(env, ranges, &MappedRange::device_minor));
    result.Set("permissions", column<Napi::Uint8Array>(env, ranges, &MappedRange::permissions));
    result.Set("pageBytes", column<Napi::Uint32Array>(env, ranges, &MappedRange::page_bytes));
    result.Set("names", column<Napi::Uint32Array>(env, ranges, &MappedRange::name));
    auto texts = Napi::Array::New(env, map.names.size());
    for (size_t i = 0; i < map.names.size(); ++i) texts[i] = Napi::String::New(env, map.names[i]);
    result.Set("texts", texts);
    return result;
}

}  // namespace offheap::addon
