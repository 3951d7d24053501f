#include "preload/hook/modules.h"

#include <sys/mman.h>

#include "preload/hook/executable_ranges.h"
#include "preload/hook/process.h"
#include "preload/runtime/text.h"
#include "preload/unwind/capture.h"

namespace offheap::hook {

using namespace offheap::runtime;

namespace {

ExecutableRanges executable_ranges;

struct Reading {
    Module* modules;
    uint32_t count;
    uint64_t inode;  // of the file whose offset 0 was seen last
    uint64_t base;
};

void read_line(void* context, const record::MapsLine& line) {
    auto* reading = static_cast<Reading*>(context);
    if (line.inode == 0) return;
    if (line.offset == 0) {
        reading->inode = line.inode;
        reading->base = line.start;
    }
    if ((line.protection & PROT_EXEC) == 0) return;
    executable_ranges.add(line.start, line.end);
    if (reading->count >= kMaxStartModules) return;
    Module& module = reading->modules[reading->count++];
    module.base = reading->inode == line.inode ? reading->base : 0;
    module.code_start = line.start;
    module.code_end = line.end;
    TextWriter(module.name, sizeof module.name).text(base_name(line.path));
}

}  // namespace

uint32_t read_modules(Module* modules) {
    Reading reading = {modules, 0, 0, 0};
    record::visit_maps(read_line, &reading);
    return reading.count;
}

void restore_modules_after_fork() {
    if (!executable_ranges.reset_if_torn()) return;
    Module unused[1];
    Reading reading = {unused, kMaxStartModules, 0, 0};
    record::visit_maps(read_line, &reading);
}

void code_mapped(uint64_t start, uint64_t bytes) {
    executable_ranges.add(start, start + bytes);
    unwind::invalidate_stacks();
}

void range_released(uint64_t start, uint64_t bytes) {
    if (!executable_ranges.overlaps(start, start + bytes)) return;
    executable_ranges.remove(start, start + bytes);
    const uint32_t generation = __atomic_add_fetch(&process.generation, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&process.channel.header()->generation, generation, __ATOMIC_RELAXED);
    unwind::invalidate_all();
}

}  // namespace offheap::hook
