// What `require('offheap.node')` gives: layout(), Channel, Heap, PerfWitness, residency(), pageBytes(),
// mappings(), glibcHeaps(), pythonArenas(), functionIndex(), what is in symbol_table_functions.h, clock().
#include <napi.h>

#include "native/addon/channel_object.h"
#include "native/addon/clock.h"
#include "native/addon/function_index_object.h"
#include "native/addon/glibc_heap_object.h"
#include "native/addon/heap_object.h"
#include "native/addon/kernel_view.h"
#include "native/addon/layout_data.h"
#include "native/addon/perf_witness_object.h"
#include "native/addon/python_arenas_object.h"
#include "native/addon/symbol_table_functions.h"

namespace offheap::addon {
namespace {

Napi::Value clock(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    const ClockSample sample = sample_clocks();
    Napi::Object result = Napi::Object::New(env);
    result.Set("monotonicNs", static_cast<double>(sample.monotonic_ns));
    result.Set("tsc", Napi::BigInt::New(env, sample.tsc));
    result.Set("unixNs", Napi::BigInt::New(env, sample.unix_ns));
    return result;
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
    exports.Set("layout", Napi::Function::New(env, layout_data, "layout"));
    exports.Set("Channel", ChannelObject::define(env));
    exports.Set("Heap", HeapObject::define(env));
    exports.Set("PerfWitness", PerfWitnessObject::define(env));
    exports.Set("residency", Napi::Function::New(env, residency, "residency"));
    exports.Set("pageBytes", Napi::Function::New(env, page_bytes, "pageBytes"));
    exports.Set("mappings", Napi::Function::New(env, mappings, "mappings"));
    exports.Set("glibcHeaps", Napi::Function::New(env, glibc_heaps, "glibcHeaps"));
    exports.Set("pythonArenas", Napi::Function::New(env, python_arenas, "pythonArenas"));
    exports.Set("functionIndex", Napi::Function::New(env, function_index, "functionIndex"));
    exports.Set("symbolTable", Napi::Function::New(env, symbol_table, "symbolTable"));
    exports.Set("openSymbolTable", Napi::Function::New(env, open_symbol_table, "openSymbolTable"));
    exports.Set("saveSymbolTable", Napi::Function::New(env, save_symbol_table, "saveSymbolTable"));
    exports.Set("symbolTableFigures", Napi::Function::New(env, symbol_table_figures, "symbolTableFigures"));
    exports.Set("functionIndexAt", Napi::Function::New(env, function_index_at, "functionIndexAt"));
    exports.Set("functionAddress", Napi::Function::New(env, function_address, "functionAddress"));
    exports.Set("functionName", Napi::Function::New(env, function_name, "functionName"));
    exports.Set("functionNameAt", Napi::Function::New(env, function_name_at, "functionNameAt"));
    exports.Set("clock", Napi::Function::New(env, clock, "clock"));
    return exports;
}

}  // namespace
}  // namespace offheap::addon

static Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
    return offheap::addon::initialize(env, exports);
}
NODE_API_MODULE(NODE_GYP_MODULE_NAME, Initialize)
