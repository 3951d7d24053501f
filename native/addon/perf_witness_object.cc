#include "native/addon/perf_witness_object.h"

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
    if (!info[0].IsNumber()) {
        Napi::TypeError::New(env, "PerfWitness(pid): pid is a number").ThrowAsJavaScriptException();
        return;
    }
    if (MaybeFailure failure = witness_.open(info[0].As<Napi::Number>().Int32Value())) {
        Napi::Error error = Napi::Error::New(env, failure->message);
        error.Set("code", failure->code);
        error.ThrowAsJavaScriptException();
    }
}

Napi::Value PerfWitnessObject::read(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    const WitnessedMappings found = witness_.read();
    auto areas = Napi::Float64Array::New(env, 3 * found.areas.size());
    size_t at = 0;
    for (const auto& [range, thread_id] : found.areas) {
        areas[at++] = static_cast<double>(range.start);
        areas[at++] = static_cast<double>(range.end);
        areas[at++] = thread_id;
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
