// CPython's arenas as JavaScript sees them; the other side is src/account/allocators/python.ts.
#pragma once

#include <napi.h>

namespace offheap::addon {

// pythonArenas(pid, ranges) → the figures of `PythonFigures` in their order. Ranges are [start, end, …].
Napi::Value python_arenas(const Napi::CallbackInfo& info);

}  // namespace offheap::addon
