#include "preload/hook/memory_return.h"

#include <stddef.h>

#include "preload/hook/allocator.h"

namespace offheap::hook {

using wire::MemoryReturn;

namespace {

struct Function {
    MemoryReturn by;
    const char* name;
};

constexpr Function kFunctions[] = {
    {MemoryReturn::kMallocTrim, "malloc_trim"},
    {MemoryReturn::kJemallocPurge, "mallctl"},
    {MemoryReturn::kTcmallocRelease, "MallocExtension_ReleaseFreeMemory"},
    {MemoryReturn::kMimallocCollect, "mi_collect"},
};

MemoryReturn found = MemoryReturn::kNothing;
uint64_t function;

template <typename Signature>
Signature* as() {
    return reinterpret_cast<Signature*>(function);
}

}  // namespace

void find_memory_return() {
    for (const Function& each : kFunctions) {
        const uint64_t address = find_allocators_own(each.name);
        if (address == 0) continue;
        function = address;
        found = each.by;
    }
}

MemoryReturn memory_return() { return found; }

uint64_t return_memory() {
    switch (found) {
        case MemoryReturn::kMallocTrim:
            return static_cast<uint64_t>(as<int(size_t)>()(0));
        case MemoryReturn::kJemallocPurge:
            // 4096 is MALLCTL_ARENAS_ALL.
            return static_cast<uint64_t>(as<int(const char*, void*, size_t*, void*, size_t)>()(
                "arena.4096.purge", nullptr, nullptr, nullptr, 0));
        case MemoryReturn::kTcmallocRelease:
            as<void()>()();
            return 0;
        case MemoryReturn::kMimallocCollect:
            as<void(bool)>()(true);
            return 0;
        default:
            return 0;
    }
}

}  // namespace offheap::hook
