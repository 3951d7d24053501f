#include "native/addon/glibc_heap_object.h"

#include <vector>

#include "native/addon/glibc_heap.h"
#include "native/addon/memory_arguments.h"
#include "native/addon/thrown.h"

namespace offheap::addon {
namespace {

Napi::Float64Array numbers(Napi::Env env, const std::vector<double>& values) {
    auto array = Napi::Float64Array::New(env, values.size());
    for (size_t i = 0; i < values.size(); ++i) array[i] = values[i];
    return array;
}

void add_range(std::vector<double>& values, const AddressRange& range) {
    values.push_back(static_cast<double>(range.start));
    values.push_back(static_cast<double>(range.end));
}

Napi::Object to_object(Napi::Env env, const GlibcHeaps& found) {
    std::vector<double> heaps;
    std::vector<double> retained;
    std::vector<double> unread;
    for (const GlibcHeap& heap : found.heaps) {
        const HeapFigures& figures = heap.figures;
        heaps.push_back(static_cast<double>(heap.kind));
        add_range(heaps, heap.range);
        for (const uint64_t figure :
             {heap.arena, figures.chunks, figures.in_use_chunks, figures.in_use_bytes, figures.free_bytes,
              figures.top_bytes, figures.metadata_bytes, figures.foreign_bytes,
              static_cast<uint64_t>(figures.retained.size())}) {
            heaps.push_back(static_cast<double>(figure));
        }
        for (const double figure : {figures.asked_blocks, figures.asked_bytes, figures.slack_bytes,
                                    figures.slack_resident_bytes, figures.slack_variance}) {
            heaps.push_back(figure);
        }
        for (const AddressRange& pages : figures.retained) add_range(retained, pages);
    }
    for (const AddressRange& range : found.unread) add_range(unread, range);
    Napi::Object result = Napi::Object::New(env);
    result.Set("heaps", numbers(env, heaps));
    result.Set("retained", numbers(env, retained));
    result.Set("unread", numbers(env, unread));
    return result;
}

}  // namespace

bool are_glibc_arguments(const Napi::CallbackInfo& info) {
    return info[0].IsNumber() && is_numbers(info[1]) && is_numbers(info[2]);
}

Napi::Value glibc_heaps_asked(const Napi::CallbackInfo& info, const AskedBlocks* asked) {
    Napi::Env env = info.Env();
    const int process_id = info[0].As<Napi::Number>().Int32Value();
    ProcessMemory memory(process_id);
    if (refuse_unreadable(env, memory, process_id)) return env.Undefined();
    GlibcHeaps found;
    for (const AddressRange& range : ranges_of(info[1])) read_main_heap(memory, range, asked, found);
    for (const AddressRange& range : ranges_of(info[2])) read_anonymous_heaps(memory, range, asked, found);
    return to_object(env, found);
}

Napi::Value glibc_heaps(const Napi::CallbackInfo& info) {
    if (!are_glibc_arguments(info)) {
        return misuse(info.Env(), "glibcHeaps(pid, main, anonymous): a number and two Float64Arrays");
    }
    return glibc_heaps_asked(info, nullptr);
}

}  // namespace offheap::addon
