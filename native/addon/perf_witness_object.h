// The perf witness as a JavaScript object.
#pragma once

#include <napi.h>

#include "native/addon/perf_witness.h"

namespace offheap::addon {

class PerfWitnessObject : public Napi::ObjectWrap<PerfWitnessObject> {
  public:
    static Napi::Function define(Napi::Env env);
    explicit PerfWitnessObject(const Napi::CallbackInfo& info);

  private:
    Napi::Value read(const Napi::CallbackInfo& info);
    Napi::Value close(const Napi::CallbackInfo& info);

    PerfWitness witness_;
};

}  // namespace offheap::addon
