// The shim's beginning. `-z initfirst` runs this constructor before every other library's, so that nothing is
// missed but what ld.so mapped to get here, which the seeds hold.
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>

#include <initializer_list>

#include "preload/hook/allocator.h"
#include "preload/hook/allocator_statistics.h"
#include "preload/hook/go_program.h"
#include "preload/hook/labels.h"
#include "preload/hook/memory_return.h"
#include "preload/hook/modules.h"
#include "preload/hook/process.h"
#include "preload/hook/python_modules.h"
#include "preload/hook/relocations.h"
#include "preload/hook/sites.h"
#include "preload/hook/size_classes.h"
#include "preload/hook/stack_of_call.h"
#include "preload/hook/thread_state.h"
#include "preload/record/emit.h"
#include "preload/runtime/raw_syscall.h"
#include "preload/runtime/text.h"
#include "preload/unwind/capture.h"

namespace offheap::hook {

using namespace offheap::runtime;

namespace {

Module start_modules[kMaxStartModules];
uint32_t start_module_count;

bool is_ours(const Module& module) {
    const auto here = reinterpret_cast<uint64_t>(&is_ours);
    return here >= module.code_start && here < module.code_end;
}

// Rewrites inline system calls of a file that is small enough to be read; false when it isn't.
bool rewrite_inline(const Module& module, SiteScope scope) {
    if (module.code_end - module.code_start > process.configuration.scan_limit_bytes) return false;
    rewrite_sites(module, scope);
    return true;
}

// Returns the wire::Degradation bits of what had to be left out.
uint32_t rewrite_start_modules() {
    const auto libc_code = reinterpret_cast<uint64_t>(&pthread_key_create);
    const uint64_t loader_base = getauxval(AT_BASE);
    start_module_count = read_modules(start_modules);
    for (uint32_t i = 0; i < start_module_count; ++i) {
        if (is_ours(start_modules[i]))
            record::own_code = {start_modules[i].code_start, start_modules[i].code_end};
    }
    if (!process.configuration.rewrite_sites) return 0;
    // The program's headers lie in its first page.
    const uint64_t program_base = getauxval(AT_PHDR) & ~4095ULL;
    bool all_read = true;
    for (uint32_t i = 0; i < start_module_count; ++i) {
        const Module& module = start_modules[i];
        if (libc_code >= module.code_start && libc_code < module.code_end) {
            rewrite_sites(module, SiteScope::kLibc);
        } else if (loader_base != 0 && module.base == loader_base) {
            rewrite_sites(module, SiteScope::kLoader);
        } else if (module.base == program_base && is_go_program(module)) {
            all_read &= rewrite_inline(module, SiteScope::kGo);
        } else if (matches_prefix(process.configuration.scan_prefixes, module.name)) {
            all_read &= rewrite_inline(module, SiteScope::kOther);
        }
    }
    return all_read ? 0 : 1u << static_cast<unsigned>(wire::Degradation::kScanLimited);
}

// Whether libc's sites were rewritten for the calls that matter most; else the imports are redirected.
bool all_rewritten() {
    using wire::Operation;
    for (const Operation operation : {Operation::kNone, Operation::kMmap, Operation::kMunmap,
                                      Operation::kMremap, Operation::kMadvise, Operation::kMprotect}) {
        if (!is_rewritten(operation)) return false;
    }
    return true;
}

// What rests in the thread's window is told, and its lane is another thread's from then on.
void on_thread_end(ThreadState* state) {
    if (is_recording()) record::close_lane(process.channel, state->heap);
}

// Returns the wire::Degradation bit of allocations that don't come to us.
uint32_t redirect_start_allocations() {
    if (!redirects_allocations()) return 0;
    for (uint32_t i = 0; i < start_module_count; ++i) {
        // A module may have several code segments.
        if (i > 0 && start_modules[i].base == start_modules[i - 1].base) continue;
        if (start_modules[i].base != 0 && !is_ours(start_modules[i]))
            redirect_allocations(start_modules[i].base);
    }
    return is_bypassed() ? 1u << static_cast<unsigned>(wire::Degradation::kHeapBypassed) : 0;
}

// Returns the wire::Degradation bit of a Python whose frames can't be read.
uint32_t find_python() {
    bool all_known = true;
    for (uint32_t i = 0; i < start_module_count; ++i) {
        const Module& module = start_modules[i];
        if (module.base != 0 && !is_ours(module)) all_known &= look_for_python(module.base);
    }
    return all_known ? 0 : 1u << static_cast<unsigned>(wire::Degradation::kPythonUnknown);
}

void before_fork() {
    if (!is_recording()) return;
    wire::Event event = {};
    event.operation = static_cast<uint8_t>(wire::Operation::kFork);
    event.phase = static_cast<uint8_t>(wire::Phase::kComplete);
    event.thread_id = static_cast<uint32_t>(raw_syscall(kSysGettid));
    event.generation = process.generation;
    const uint64_t position = record::emit(process.channel, event);
    if (position != record::kLost) process.parent = {false, process.channel.header()->channel_id, position};
}

// In the parent: a later raw clone must not pass for this fork's child.
void after_fork_in_parent() { process.parent = {}; }

void on_flamegraph_signal(int) {
    if (!is_recording()) return;
    __atomic_fetch_add(&process.channel.header()->flamegraph_requests, 1, __ATOMIC_RELAXED);
}

void install_signal(int signal) {
    struct sigaction action = {};
    action.sa_handler = on_flamegraph_signal;
    action.sa_flags = SA_RESTART;
    sigaction(signal, &action, nullptr);
}

// A call that changes nothing and that no program makes: where a trace of system calls can be told to begin
// counting.
void emit_start_marker() {
    constexpr long kMarkerAdvice = 0x6f6666;
    raw_syscall(kSysMadvise, 0, 0, kMarkerAdvice);
}

__attribute__((constructor)) void start(int, char**, char** environment) {
    find_allocator();
    find_memory_return();
    find_allocator_statistics();
    find_size_classes();
    process.configuration = read_configuration(environment);
    if (process.configuration.disabled) return;
    ProcessPage* const page = create_process_page();
    if (page == nullptr) return;
    process.page = page;
    note_own_mapping(reinterpret_cast<uint64_t>(process.page), 4096);
    process.page->state = kPageStarting;
    start_thread_states();
    OwnMapping fresh = {};
    // The first slab now, so that no hook of a single-threaded program needs to map one.
    ThreadState* main_thread = thread_state(&fresh);
    if (fresh.bytes != 0) note_own_mapping(fresh.address, fresh.bytes);
    uint32_t degradations = rewrite_start_modules();

    degradations |= redirect_start_allocations();
    degradations |= start_labels(start_modules, start_module_count);
    degradations |= find_python();
    thread_end_listener = on_thread_end;
    record::own_mapping_listener = note_own_mapping;
    if (!all_rewritten()) {
        redirect_imports(start_modules, start_module_count);
        degradations |= 1u << static_cast<unsigned>(wire::Degradation::kSitesInterposed);
    }
    if (!unwind::has_table_lookup())
        degradations |= 1u << static_cast<unsigned>(wire::Degradation::kUnwindTableMissing);
    if (!start_recording(degradations)) return;
    // Before a child by vfork, which runs on its stack, does it in its stead.
    wire::Event unused = {};
    identify_thread(main_thread, reinterpret_cast<uint64_t>(__builtin_frame_address(0)), &unused);
    pthread_atfork(before_fork, after_fork_in_parent, nullptr);
    if (process.configuration.request_signal != 0) install_signal(process.configuration.request_signal);
    if (process.configuration.emit_start_marker) emit_start_marker();
}

__attribute__((destructor)) void finish() {
    if (process.page->state != kPageRecording) return;
    __atomic_store_n(&process.channel.header()->state, static_cast<uint32_t>(wire::ProcessState::kExited),
                     __ATOMIC_RELEASE);
}

}  // namespace
}  // namespace offheap::hook
