// What the addon's functions throw into JavaScript.
#pragma once

#include <napi.h>

#include "native/addon/failure.h"

namespace offheap::addon {

// Throws an error with the failure's code.
inline Napi::Value fail(Napi::Env env, const Failure& failure) {
    Napi::Error error = Napi::Error::New(env, failure.message);
    error.Set("code", failure.code);
    error.ThrowAsJavaScriptException();
    return env.Undefined();
}

// Throws a TypeError: our own TypeScript calls it wrongly.
inline Napi::Value misuse(Napi::Env env, const char* what) {
    Napi::TypeError::New(env, what).ThrowAsJavaScriptException();
    return env.Undefined();
}

}  // namespace offheap::addon
