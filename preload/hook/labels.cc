#include "preload/hook/labels.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "preload/hook/exports.h"
#include "preload/hook/modules.h"
#include "preload/hook/process.h"
#include "preload/record/emit.h"
#include "preload/record/seeds.h"
#include "preload/runtime/raw_syscall.h"
#include "preload/runtime/text.h"
#include "preload/unwind/module_lookup.h"

namespace offheap::hook {

using namespace offheap::runtime;

namespace {

// linux/prctl.h, which older headers lack.
constexpr long kPrSetVma = 0x53564d41;
constexpr long kPrSetVmaAnonName = 0;
constexpr size_t kLabelBytes = 80;  // with the NUL

// What relays calls and owns nothing, as in src/ledger/plumbing.ts.
constexpr const char* kPlumbing[] = {"libc.so",       "libc-2.", "libpthread", "ld-linux",   "ld-2.",
                                     "libdl.",        "librt.",  "libgcc_s",   "libstdc++.", "libc++",
                                     "linux-vdso.so", "libucm",  "liboffheap"};
// Memory that libc maps inside these is its allocator's.
constexpr const char* kAllocatorFunctions[] = {"malloc",       "calloc",         "realloc",  "free",
                                               "memalign",     "posix_memalign", "valloc",   "pvalloc",
                                               "reallocarray", "aligned_alloc",  "mallinfo", "malloc_trim"};
constexpr uint32_t kAllocatorFunctionCount = sizeof kAllocatorFunctions / sizeof *kAllocatorFunctions;
constexpr uint32_t kDeepest = 256;
constexpr uint64_t kDefaultMostAreas = 65530;

Extent allocator[kAllocatorFunctionCount];
char libc_name[64];
char program_name[64];
uint64_t most_areas;  // half of what the kernel allows
bool working;         // asked for, and not stopped
uint64_t set_count;
uint64_t next_count_at;  // when so many are set the areas are counted

long set_name(uint64_t address, uint64_t bytes, const char* name) {
    return raw_syscall(kSysPrctl, kPrSetVma, kPrSetVmaAnonName, static_cast<long>(address),
                       static_cast<long>(bytes), as_argument(name));
}

uint64_t areas_allowed() {
    char text[32];
    const long fd = raw_syscall(kSysOpen, as_argument("/proc/sys/vm/max_map_count"), O_RDONLY | O_CLOEXEC);
    if (is_error(fd)) return kDefaultMostAreas;
    const long bytes = raw_syscall(kSysRead, fd, as_argument(text), sizeof text - 1);
    raw_syscall(kSysClose, fd);
    if (bytes <= 0) return kDefaultMostAreas;
    text[text[bytes - 1] == '\n' ? bytes - 1 : bytes] = 0;
    uint64_t allowed = 0;
    return parse_number(text, &allowed) ? allowed : kDefaultMostAreas;
}

void read_program_name() {
    char path[512];
    const long bytes =
        raw_syscall(kSysReadlink, as_argument("/proc/self/exe"), as_argument(path), sizeof path - 1);
    path[bytes > 0 ? bytes : 0] = 0;
    TextWriter(program_name, sizeof program_name).text(bytes > 0 ? base_name(path) : "program");
}

bool is_plumbing(const char* name) {
    for (const char* prefix : kPlumbing) {
        if (text_starts(name, prefix)) return true;
    }
    return false;
}

bool is_allocators_code(uint64_t address) {
    for (const Extent& function : allocator) {
        if (address - function.start < function.end - function.start) return true;
    }
    return false;
}

// The first module from the leaf that is no plumbing; null where there is none.
const char* owner_of(uint32_t stack) {
    const wire::Header* header = process.channel.header();
    const auto* nodes =
        reinterpret_cast<const wire::StackNode*>(process.channel.address() + header->nodes_offset);
    for (uint32_t depth = 0; stack != 0 && stack < header->nodes_capacity && depth < kDeepest; ++depth) {
        const wire::StackNode& node = nodes[stack];
        stack = node.parent;
        const uint64_t kind = node.key >> wire::kKeyKindShift;
        if (kind != wire::kKeyReturnAddress && kind != wire::kKeyExactAddress) continue;
        const uint64_t key = node.key & ((1ULL << wire::kKeyKindShift) - 1);
        const uint64_t address = kind == wire::kKeyReturnAddress ? key - 1 : key;
        if (is_allocators_code(address)) return libc_name;
        const char* path = unwind::module_path(address);
        if (path == nullptr) continue;
        if (*path == 0) return program_name;
        const char* name = base_name(path);
        if (!is_plumbing(name)) return name;
    }
    return nullptr;
}

// What the kernel refuses in a name.
bool is_allowed(char c) {
    return c >= ' ' && c <= '~' && c != '\\' && c != '`' && c != '$' && c != '[' && c != ']';
}

void count_area(void* context, const record::MapsLine&) { ++*static_cast<uint64_t*>(context); }

// False once there are so many areas that the target itself might lack some.
bool leaves_room(uint64_t set) {
    if (set < __atomic_load_n(&next_count_at, __ATOMIC_RELAXED)) return true;
    uint64_t areas = 0;
    record::visit_maps(count_area, &areas);
    if (areas >= most_areas) return false;
    // A name splits an area into three at most.
    __atomic_store_n(&next_count_at, set + (most_areas - areas) / 2 + 1, __ATOMIC_RELAXED);
    return true;
}

void stop() {
    __atomic_store_n(&working, false, __ATOMIC_RELAXED);
    process.channel.degrade(wire::Degradation::kLabelsStopped);
}

}  // namespace

uint32_t start_labels(const Module* modules, uint32_t count) {
    if (!process.configuration.label) return 0;
    const auto own_page = reinterpret_cast<uint64_t>(process.page);
    if (is_error(set_name(own_page, 4096, "offheap:offheap")))
        return 1u << static_cast<unsigned>(wire::Degradation::kLabelsUnsupported);
    const auto libc_code = reinterpret_cast<uint64_t>(&pthread_key_create);
    for (uint32_t i = 0; i < count; ++i) {
        if (libc_code < modules[i].code_start || libc_code >= modules[i].code_end) continue;
        TextWriter(libc_name, sizeof libc_name).text(modules[i].name);
        for (uint32_t f = 0; f < kAllocatorFunctionCount; ++f)
            allocator[f] = find_export(modules[i], kAllocatorFunctions[f]);
    }
    read_program_name();
    most_areas = areas_allowed() / 2;
    working = true;
    return 0;
}

void label_mapping(const wire::Event& event) {
    if (!__atomic_load_n(&working, __ATOMIC_RELAXED) || event.stack == 0) return;
    constexpr uint64_t kKindMask = MAP_SHARED | MAP_PRIVATE | MAP_ANONYMOUS;
    if ((event.arg3 & kKindMask) != (MAP_PRIVATE | MAP_ANONYMOUS)) return;
    const char* owner = owner_of(event.stack);
    if (owner == nullptr) return;
    char label[kLabelBytes];
    TextWriter writer(label, sizeof label);
    writer.text("offheap:").text(owner);
    if ((event.arg3 & MAP_STACK) != 0) writer.text(" stack");
    for (char* c = label; *c != 0; ++c) {
        if (!is_allowed(*c)) *c = '_';
    }
    const uint64_t set = __atomic_fetch_add(&set_count, 1, __ATOMIC_RELAXED);
    if (!leaves_room(set)) return stop();
    const long result = set_name(event.result, (event.arg1 + 4095) & ~4095ULL, label);
    if (result == -ENOMEM) return stop();
    if (!is_error(result)) __atomic_fetch_add(&process.channel.header()->labels_set, 1, __ATOMIC_RELAXED);
}

}  // namespace offheap::hook
