#include "native/addon/python_arenas_object.h"

#include <iterator>

#include "native/addon/memory_arguments.h"
#include "native/addon/python_arenas.h"
#include "native/addon/thrown.h"

namespace offheap::addon {

Napi::Value python_arenas(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (!info[0].IsNumber() || !is_numbers(info[1])) {
        return misuse(env, "pythonArenas(pid, ranges): a number and a Float64Array");
    }
    const int process_id = info[0].As<Napi::Number>().Int32Value();
    ProcessMemory memory(process_id);
    if (refuse_unreadable(env, memory, process_id)) return env.Undefined();
    const PythonFigures found = read_python_arenas(memory, ranges_of(info[1]));
    const uint64_t figures[] = {found.pool_bytes, found.pools_in_use, found.blocks, found.block_bytes,
                                found.live,       found.retained,     found.slack,  found.metadata,
                                found.frames,     found.unread};
    auto result = Napi::Float64Array::New(env, std::size(figures));
    for (size_t i = 0; i < std::size(figures); ++i) result[i] = static_cast<double>(figures[i]);
    return result;
}

}  // namespace offheap::addon
