// A channel's heap as a JavaScript object: the columns of src/wire/heap.ts as typed arrays.
#pragma once

#include <napi.h>

#include "native/addon/heap_drain.h"

namespace offheap::addon {

class HeapObject : public Napi::ObjectWrap<HeapObject> {
  public:
    static Napi::Function define(Napi::Env env);
    explicit HeapObject(const Napi::CallbackInfo& info);

  private:
    Napi::Value available(const Napi::CallbackInfo& info);
    Napi::Value start(const Napi::CallbackInfo& info);
    Napi::Value drain(const Napi::CallbackInfo& info);
    Napi::Value mode(const Napi::CallbackInfo& info);
    Napi::Value set_mode(const Napi::CallbackInfo& info);
    Napi::Value totals(const Napi::CallbackInfo& info);
    Napi::Value sites(const Napi::CallbackInfo& info);
    Napi::Value held(const Napi::CallbackInfo& info);
    Napi::Value threads(const Napi::CallbackInfo& info);
    Napi::Value sizes(const Napi::CallbackInfo& info);
    Napi::Value ages(const Napi::CallbackInfo& info);
    Napi::Value mark(const Napi::CallbackInfo& info);
    Napi::Value survivors(const Napi::CallbackInfo& info);
    Napi::Value pins(const Napi::CallbackInfo& info);
    Napi::Value pages(const Napi::CallbackInfo& info);
    Napi::Value glibc_heaps(const Napi::CallbackInfo& info);
    Napi::Value asked(const Napi::CallbackInfo& info);
    Napi::Value hold(const Napi::CallbackInfo& info);
    Napi::Value let_go(const Napi::CallbackInfo& info);
    Napi::Value finish(const Napi::CallbackInfo& info);
    Napi::Value close(const Napi::CallbackInfo& info);

    HeapDrain drain_;
    // In place of a ledger where the channel has no heap.
    HeapLedger nothing_{{}};
    // Looks at the present moment; false with a JavaScript exception pending.
    template <typename Use>
    bool look(Napi::Env env, Use use);
};

}  // namespace offheap::addon
