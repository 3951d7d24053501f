#include "native/addon/layout_data.h"

#include <stdio.h>

#include <string>

#include "native/wire/layout.h"

namespace offheap::addon {
namespace {

struct Field {
    const char* name;
    size_t offset_bytes, bytes;
};

template <size_t kCount>
Napi::Object structure(Napi::Env env, size_t bytes, const Field (&fields)[kCount]) {
    Napi::Array list = Napi::Array::New(env, kCount);
    for (uint32_t i = 0; i < kCount; ++i) {
        Napi::Object field = Napi::Object::New(env);
        field.Set("name", fields[i].name);
        field.Set("offset", static_cast<double>(fields[i].offset_bytes));
        field.Set("bytes", static_cast<double>(fields[i].bytes));
        list.Set(i, field);
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("bytes", static_cast<double>(bytes));
    result.Set("fields", list);
    return result;
}

template <size_t kCount>
Napi::Array names(Napi::Env env, const char* const (&texts)[kCount]) {
    Napi::Array list = Napi::Array::New(env, kCount);
    for (uint32_t i = 0; i < kCount; ++i) list.Set(i, texts[i]);
    return list;
}

std::string hex(uint64_t value) {
    char text[17];
    snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
    return text;
}

#define OFFHEAP_FIELD_DATA(type, name, offset) {#name, offset, sizeof(type)},
#define OFFHEAP_ENTRY_TEXT(id, text) text,

Napi::Object structures(Napi::Env env) {
    using namespace wire;  // the X-lists name their types unqualified
    Napi::Object result = Napi::Object::New(env);
#define OFFHEAP_SET_STRUCTURE(name, fields)                              \
    {                                                                    \
        static constexpr Field kFields[] = {fields(OFFHEAP_FIELD_DATA)}; \
        result.Set(#name, structure(env, sizeof(name), kFields));        \
    }
    OFFHEAP_STRUCTURES(OFFHEAP_SET_STRUCTURE)
#undef OFFHEAP_SET_STRUCTURE
    return result;
}

Napi::Object enumerations(Napi::Env env) {
    Napi::Object result = Napi::Object::New(env);
#define OFFHEAP_SET_NAMES(name, entries)                                       \
    {                                                                          \
        static constexpr const char* kTexts[] = {entries(OFFHEAP_ENTRY_TEXT)}; \
        result.Set(name, names(env, kTexts));                                  \
    }
    OFFHEAP_SET_NAMES("operations", OFFHEAP_OPERATIONS)
    OFFHEAP_SET_NAMES("phases", OFFHEAP_PHASES)
    OFFHEAP_SET_NAMES("processStates", OFFHEAP_PROCESS_STATES)
    OFFHEAP_SET_NAMES("beginnings", OFFHEAP_BEGINNINGS)
    OFFHEAP_SET_NAMES("clocks", OFFHEAP_CLOCKS)
    OFFHEAP_SET_NAMES("siteStates", OFFHEAP_SITE_STATES)
    OFFHEAP_SET_NAMES("degradations", OFFHEAP_DEGRADATIONS)
    OFFHEAP_SET_NAMES("heapModes", OFFHEAP_HEAP_MODES)
    OFFHEAP_SET_NAMES("heapEventKinds", OFFHEAP_HEAP_EVENT_KINDS)
    OFFHEAP_SET_NAMES("requestKinds", OFFHEAP_REQUEST_KINDS)
    OFFHEAP_SET_NAMES("answers", OFFHEAP_ANSWERS)
    OFFHEAP_SET_NAMES("memoryReturns", OFFHEAP_MEMORY_RETURNS)
    OFFHEAP_SET_NAMES("statisticsSources", OFFHEAP_STATISTICS_SOURCES)
    OFFHEAP_SET_NAMES("sizeRoundings", OFFHEAP_SIZE_ROUNDINGS)
    OFFHEAP_SET_NAMES("jemallocStatistics", OFFHEAP_JEMALLOC_STATISTICS)
    OFFHEAP_SET_NAMES("tcmallocStatistics", OFFHEAP_TCMALLOC_STATISTICS)
#undef OFFHEAP_SET_NAMES
    return result;
}

Napi::Object constants(Napi::Env env) {
    Napi::Object result = Napi::Object::New(env);
    const auto set = [&](const char* name, uint64_t value) { result.Set(name, static_cast<double>(value)); };
    set("pageBytes", wire::kPageBytes);
    set("flagStackTruncated", wire::kFlagStackTruncated);
    set("flagByProfiler", wire::kFlagByProfiler);
    set("flagNested", wire::kFlagNested);
    set("keyKindShift", wire::kKeyKindShift);
    set("keyReturnAddress", wire::kKeyReturnAddress);
    set("keyExactAddress", wire::kKeyExactAddress);
    set("keyGeneration", wire::kKeyGeneration);
    set("keyPython", wire::kKeyPython);
    set("keyText", wire::kKeyText);
    set("keyTextOffset", wire::kKeyTextOffset);
    set("keyPythonCode", wire::kKeyPythonCode);
    return result;
}

}  // namespace

Napi::Value layout_data(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    Napi::Object result = Napi::Object::New(env);
    result.Set("version", wire::kVersion);
    result.Set("layoutHash", hex(wire::layout_hash()));
    result.Set("magic", hex(wire::kMagic));
    result.Set("structures", structures(env));
    result.Set("enumerations", enumerations(env));
    result.Set("constants", constants(env));
    return result;
}

}  // namespace offheap::addon
