#include "native/addon/memory_arguments.h"

#include <errno.h>
#include <string.h>

#include <string>

namespace offheap::addon {

bool is_numbers(const Napi::Value& value) {
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

std::vector<AddressRange> sorted_ranges_of(const Napi::Value& value) {
    std::vector<AddressRange> sorted;
    for (const AddressRange& range : ranges_of(value)) {
        if (sorted.empty() || range.start >= sorted.back().end) sorted.push_back(range);
    }
    return sorted;
}

std::vector<uint64_t> rising_numbers(const Napi::Value& value) {
    const auto numbers = value.As<Napi::Float64Array>();
    std::vector<uint64_t> rising;
    for (size_t i = 0; i < numbers.ElementLength(); ++i) {
        if (!(numbers[i] >= 1 && numbers[i] < 0x1p47)) continue;
        const auto number = static_cast<uint64_t>(numbers[i]);
        if (rising.empty() || number > rising.back()) rising.push_back(number);
    }
    return rising;
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
