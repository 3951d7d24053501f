#include "native/addon/perf_witness_object.h"

#include "native/addon/thrown.h"

namespace offheap::addon {

Napi::Function PerfWitnessObject::define(Napi::Env env) {
    return DefineClass(env, "PerfWitness",
                       {
                           InstanceMethod<&PerfWitnessObject::read>("read"),
                           InstanceMethod<&PerfWitnessObject::close>("close"),
                       });
}

PerfWitnessObject::PerfWitnessObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<PerfWitnessObject>(info) {
    Napi::Env env = info.Env();
    if (!info[0].IsNumber() || !info[1].IsBoolean()) {
        misuse(env, "PerfWitness(pid, tsc): a number and a boolean");
        return;
    }
    const EventTime time = info[1].As<Napi::Boolean>().Value() ? EventTime::kTsc : EventTime::kMonotonic;
    if (MaybeFailure failure = witness_.open(info[0].As<Napi::Number>().Int32Value(), time)) {
        fail(env, *failure);
    }
}

Napi::Value PerfWitnessObject::read(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    const WitnessedMappings found = witness_.read();
    auto areas = Napi::Float64Array::New(env, 6 * found.areas.size());
    size_t at = 0;
    for (const auto& [range, thread_id, protection, time] : found.areas) {
        areas[at++] = static_cast<double>(range.start);
        areas[at++] = static_cast<double>(range.end);
        areas[at++] = thread_id;
        areas[at++] = protection;
        areas[at++] = static_cast<double>(time & UINT32_MAX);
        areas[at++] = static_cast<double>(time >> 32);
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("areas", areas);
    result.Set("lost", static_cast<double>(found.lost));
    result.Set("replaced", found.replaced);
    return result;
}

Napi::Value PerfWitnessObject::close(const Napi::CallbackInfo& info) {
    witness_.close();
    return info.Env().Undefined();
}

}  // namespace offheap::addon
