#include "preload/hook/allocator_statistics.h"

#include <stddef.h>

#include "preload/hook/allocator.h"

namespace offheap::hook {

using wire::StatisticsSource;

namespace {

using Mallctl = int(const char* name, void* old, size_t* old_bytes, void* value, size_t bytes);
using GetProperty = int(const char* name, size_t* value);

StatisticsSource found = StatisticsSource::kNothing;
uint64_t function;

#define OFFHEAP_STATISTIC_NAME(id, text) text,
constexpr const char* kJemallocNames[] = {OFFHEAP_JEMALLOC_STATISTICS(OFFHEAP_STATISTIC_NAME)};
constexpr const char* kTcmallocNames[] = {OFFHEAP_TCMALLOC_STATISTICS(OFFHEAP_STATISTIC_NAME)};
#undef OFFHEAP_STATISTIC_NAME

uint32_t read_jemalloc(uint64_t* values) {
    auto* const mallctl = reinterpret_cast<Mallctl*>(function);
    // What it counts is as of the last change of its epoch.
    uint64_t epoch = 1;
    mallctl("epoch", nullptr, nullptr, &epoch, sizeof epoch);
    uint32_t count = 0;
    for (const char* const name : kJemallocNames) {
        size_t value = 0;
        size_t bytes = sizeof value;
        values[count++] = mallctl(name, &value, &bytes, nullptr, 0) == 0 ? value : 0;
    }
    return count;
}

uint32_t read_tcmalloc(uint64_t* values) {
    auto* const get_property = reinterpret_cast<GetProperty*>(function);
    uint32_t count = 0;
    for (const char* const name : kTcmallocNames) {
        size_t value = 0;
        values[count++] = get_property(name, &value) != 0 ? value : 0;
    }
    return count;
}

}  // namespace

void find_allocator_statistics() {
    function = find_allocators_own("mallctl");
    found = function != 0 ? StatisticsSource::kJemalloc : StatisticsSource::kNothing;
    if (function != 0) return;
    function = find_allocators_own("MallocExtension_GetNumericProperty");
    if (function != 0) found = StatisticsSource::kTcmalloc;
}

StatisticsSource statistics_source() { return found; }

uint32_t read_statistics(uint64_t* values) {
    switch (found) {
        case StatisticsSource::kJemalloc:
            return read_jemalloc(values);
        case StatisticsSource::kTcmalloc:
            return read_tcmalloc(values);
        default:
            return 0;
    }
}

}  // namespace offheap::hook
