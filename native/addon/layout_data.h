// native/wire/layout.h as JavaScript data: structures, enumerations and constants by name.
#pragma once

#include <napi.h>

namespace offheap::addon {

Napi::Value layout_data(const Napi::CallbackInfo& info);

}  // namespace offheap::addon
