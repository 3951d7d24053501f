#include "preload/hook/file_mappings.h"

#include <sys/mman.h>

#include "preload/hook/allocator.h"
#include "preload/hook/elf_image.h"
#include "preload/hook/modules.h"
#include "preload/hook/process.h"
#include "preload/hook/python_modules.h"
#include "preload/hook/sites.h"
#include "preload/runtime/raw_syscall.h"
#include "preload/runtime/text.h"

namespace offheap::hook {

using namespace offheap::runtime;

namespace {

constexpr uint32_t kMaxPending = 256;  // a library may come with that many others

// Guarded by `lock`, which nobody waits for: the loader maps one library at a time, and whoever else comes by
// meanwhile leaves the name out, which the collector sees.
uint32_t lock;
char path_buffer[4096];
uint64_t last_file_start;  // where offset 0 of the file mapped last begins
struct Pending {
    Module module;
    uint32_t
        thread_id;  // who is loading it: nobody else may read it, since a load that fails unmaps it again
    bool scan;      // for inline system calls
    bool redirect;  // its calls of the allocator, once the loader has bound and protected them
    bool python;    // may hold an interpreter, which is looked for then too
};
Pending pending[kMaxPending];
uint32_t pending_count;
uint32_t pending_is_void;  // an unmapping could not wait to be told apart: drop them all
constexpr int kMostTries = 1000;

bool try_lock() { return __atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE) == 0; }
void unlock() { __atomic_store_n(&lock, 0, __ATOMIC_RELEASE); }

bool read_path(uint64_t fd) {
    char link[32];
    TextWriter(link, sizeof link).text("/proc/self/fd/").decimal(fd);
    const long bytes =
        raw_syscall(kSysReadlink, as_argument(link), as_argument(path_buffer), sizeof path_buffer - 1);
    if (bytes <= 0) return false;
    path_buffer[bytes] = 0;
    return true;
}

// Where the tables lie that the loader protects when it has bound a module; 0: nowhere.
uint64_t protected_tables(uint64_t base) {
    const ElfImage image(base);
    const Elf64_Phdr* segment = image.find(PT_GNU_RELRO);
    return segment == nullptr ? 0 : (image.bias + segment->p_vaddr) & ~4095ULL;
}

void note_code(const SystemCallFrame& frame, uint64_t address, wire::Event* event) {
    code_mapped(address, frame.rsi);
    if (!read_path(frame.r8)) return;
    event->text = process.channel.add_text(path_buffer, text_length(path_buffer));
    const char* name = base_name(path_buffer);
    const Configuration& configuration = process.configuration;
    bool scan = configuration.rewrite_sites && matches_prefix(configuration.scan_prefixes, name);
    if (scan && frame.rsi > configuration.scan_limit_bytes) {
        process.channel.degrade(wire::Degradation::kScanLimited);
        scan = false;
    }
    const bool redirect = redirects_allocations() && last_file_start != 0;
    const bool python = may_hold_python(name) && last_file_start != 0;
    if ((!scan && !redirect && !python) || pending_count >= kMaxPending) return;
    Pending& entry = pending[pending_count];
    entry = {{last_file_start, address, address + frame.rsi, {}}, event->thread_id, scan, redirect, python};
    TextWriter(entry.module.name, sizeof entry.module.name).text(name);
    __atomic_store_n(&pending_count, pending_count + 1, __ATOMIC_RELEASE);
}

}  // namespace

void note_file_mapping(const SystemCallFrame& frame, uint64_t address, wire::Event* event) {
    if ((frame.r10 & MAP_FIXED) != 0) range_released(address, frame.rsi);
    if ((frame.r10 & MAP_ANONYMOUS) != 0) return;
    if (frame.r9 == 0) __atomic_store_n(&last_file_start, address, __ATOMIC_RELAXED);
    if ((frame.rdx & PROT_EXEC) == 0 || !try_lock()) return;
    note_code(frame, address, event);
    unlock();
}

void rewrite_pending_modules(uint32_t thread_id, uint64_t address) {
    if (__builtin_expect(__atomic_load_n(&pending_count, __ATOMIC_ACQUIRE) == 0, 1) || !try_lock()) return;
    if (__atomic_exchange_n(&pending_is_void, 0, __ATOMIC_ACQUIRE) != 0) pending_count = 0;
    uint32_t kept = 0;
    bool rewritten = false;
    for (uint32_t i = 0; i < pending_count; ++i) {
        Pending entry = pending[i];
        if (entry.thread_id == thread_id && address >= entry.module.base) {
            if (entry.scan) rewritten |= rewrite_sites(entry.module, SiteScope::kOther) > 0;
            entry.scan = false;
            if ((entry.redirect || entry.python) && address == protected_tables(entry.module.base)) {
                if (entry.redirect) redirect_allocations(entry.module.base);
                if (entry.python && !look_for_python(entry.module.base))
                    process.channel.degrade(wire::Degradation::kPythonUnknown);
                entry.redirect = entry.python = false;
            }
        }
        if (entry.scan || entry.redirect || entry.python) pending[kept++] = entry;
    }
    __atomic_store_n(&pending_count, kept, __ATOMIC_RELEASE);
    if (rewritten) publish_sites(process.channel);
    unlock();
}

void restore_file_mappings_after_fork() {
    pending_count = 0;
    pending_is_void = 0;
    lock = 0;
}

void forget_pending_modules(uint64_t start, uint64_t bytes) {
    if (__builtin_expect(__atomic_load_n(&pending_count, __ATOMIC_ACQUIRE) == 0, 1)) return;
    // The loading thread is the one that unmaps, so it never meets itself here holding the lock; whoever else
    // holds it is done soon, and must be, before the memory goes away.
    while (!try_lock()) raw_syscall(kSysSchedYield);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < pending_count; ++i) {
        const Module& module = pending[i].module;
        if (module.code_end <= start || module.code_start >= start + bytes) pending[kept++] = pending[i];
    }
    __atomic_store_n(&pending_count, kept, __ATOMIC_RELEASE);
    unlock();
}

}  // namespace offheap::hook
