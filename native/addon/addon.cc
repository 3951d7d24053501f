// What `require('offheap.node')` gives: layout(), Channel, Heap, residency(), clock().
#include <errno.h>
#include <napi.h>
#include <string.h>

#include <string>

#include "native/addon/channel_object.h"
#include "native/addon/clock.h"
#include "native/addon/heap_object.h"
#include "native/addon/layout_data.h"
#include "native/addon/residency.h"

namespace offheap::addon {
namespace {

// residency(pid, [start, end, …]) → [residentBytes, swapBytes, …], a pair for each range.
Napi::Value residency(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (!info[0].IsNumber() || !info[1].IsTypedArray() ||
        info[1].As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
        Napi::TypeError::New(env, "residency(pid, ranges): a number and a Float64Array")
            .ThrowAsJavaScriptException();
        return env.Undefined();
    }
    const int process_id = info[0].As<Napi::Number>().Int32Value();
    PageMap page_map(process_id);
    if (!page_map.is_open()) {
        const bool gone = page_map.open_errno() == ENOENT || page_map.open_errno() == ESRCH;
        Napi::Error error = Napi::Error::New(env, "the page map of process " + std::to_string(process_id) +
                                                      " can't be read: " + strerror(page_map.open_errno()));
        error.Set("code", gone ? "PROCESS_MISSING" : "PROCESS_REFUSED");
        error.ThrowAsJavaScriptException();
        return env.Undefined();
    }
    if (info[2].IsBoolean() && info[2].As<Napi::Boolean>().Value()) page_map.use_entries();

    const auto ranges = info[1].As<Napi::Float64Array>();
    auto result = Napi::Float64Array::New(env, ranges.ElementLength() / 2 * 2);
    for (size_t i = 0; i + 1 < ranges.ElementLength(); i += 2) {
        // Written so that NaN fails the test: casting it to an integer would be undefined.
        if (!(ranges[i] >= 0 && ranges[i + 1] >= ranges[i] && ranges[i + 1] < 0x1p53)) continue;
        const Residency measured =
            page_map.measure(static_cast<uint64_t>(ranges[i]), static_cast<uint64_t>(ranges[i + 1]));
        result[i] = static_cast<double>(measured.resident_bytes);
        result[i + 1] = static_cast<double>(measured.swap_bytes);
    }
    return result;
}

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
    exports.Set("residency", Napi::Function::New(env, residency, "residency"));
    exports.Set("clock", Napi::Function::New(env, clock, "clock"));
    return exports;
}

}  // namespace
}  // namespace offheap::addon

static Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
    return offheap::addon::initialize(env, exports);
}
NODE_API_MODULE(NODE_GYP_MODULE_NAME, Initialize)
