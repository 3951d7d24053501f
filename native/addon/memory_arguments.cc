#include "native/addon/memory_arguments.h"

#include <errno.h>
#include <string.h>

#include <string>

namespace offheap::addon {

bool is_ranges(const Napi::Value& value) {
    return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_float64_array;
}

std::vector<AddressRange> ranges_of(const Napi::Value& value) {
    const auto bounds = value.As<Napi::Float64Array>();
    std::vector<AddressRange> ranges;
    for (size_t i = 0; i + 1 < bounds.ElementLength(); i += 2) {
        // Written so that NaN fails the test: casting it to an integer would be undefined.
        if (!(bounds[i] >= 0 && bounds[i + 1] > bounds[i] && bounds[i + 1] < 0x1p53)) continue;
        ranges.push_back({static_cast<uint64_t>(bounds[i]), static_cast<uint64_t>(bounds[i + 1])});
    }
    return ranges;
}

bool refuse_unreadable(Napi::Env env, const ProcessMemory& memory, int process_id) {
    if (memory.refusal() == 0) return false;
    Napi::Error error = Napi::Error::New(env, "the memory of process " + std::to_string(process_id) +
                                                  " can't be read: " + strerror(memory.refusal()));
    error.Set("code", memory.refusal() == ESRCH ? "PROCESS_MISSING" : "PROCESS_REFUSED");
    error.ThrowAsJavaScriptException();
    return true;
}

}  // namespace offheap::addon
