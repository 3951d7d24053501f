#include "preload/hook/allocator.h"

#include <errno.h>

#include "preload/hook/allocations.h"
#include "preload/hook/exports.h"
#include "preload/hook/import_table.h"
#include "preload/hook/link_map.h"
#include "preload/hook/modules.h"
#include "preload/runtime/text.h"

extern "C" __attribute__((visibility("hidden"))) const Elf64_Dyn _DYNAMIC[];

namespace offheap::hook {

namespace {

// ---- calls that come before the functions were looked up ----

#define OFFHEAP_FIRST_CALL(result, name, parameters, arguments) \
    result first_##name parameters {                            \
        find_allocator();                                       \
        return allocator.name arguments;                        \
    }
OFFHEAP_ALLOCATOR_FUNCTIONS(OFFHEAP_FIRST_CALL)
#undef OFFHEAP_FIRST_CALL

// ---- functions that an allocator may lack, though we export them ----

// libc has these.
constexpr decltype(Allocator::malloc) otherwise_malloc = nullptr;
constexpr decltype(Allocator::calloc) otherwise_calloc = nullptr;
constexpr decltype(Allocator::realloc) otherwise_realloc = nullptr;
constexpr decltype(Allocator::posix_memalign) otherwise_posix_memalign = nullptr;
constexpr decltype(Allocator::aligned_alloc) otherwise_aligned_alloc = nullptr;
constexpr decltype(Allocator::memalign) otherwise_memalign = nullptr;
constexpr decltype(Allocator::valloc) otherwise_valloc = nullptr;
constexpr decltype(Allocator::pvalloc) otherwise_pvalloc = nullptr;
constexpr decltype(Allocator::free) otherwise_free = nullptr;

void* otherwise_reallocarray(void* block, size_t count, size_t bytes) {
    size_t total = 0;
    if (__builtin_mul_overflow(count, bytes, &total)) {
        errno = ENOMEM;
        return nullptr;
    }
    return allocator.realloc(block, total);
}
void otherwise_cfree(void* block) { allocator.free(block); }
void otherwise_free_sized(void* block, size_t) { allocator.free(block); }
void otherwise_free_aligned_sized(void* block, size_t, size_t) { allocator.free(block); }

// ---- the search ----

struct Definition {
    uint64_t address = 0, end = 0;
    uint64_t bias = 0;  // of its module
    bool before_ours = false;
};

Definition find_definition(const char* name) {
    bool ours_passed = false;
    for (const LinkedModule* module = linked_modules(); module != nullptr; module = module->next) {
        if (module->dynamic == _DYNAMIC) {
            ours_passed = true;
            continue;
        }
        const Extent found = find_export(ElfImage(module->bias, module->dynamic), name);
        if (found.start != 0) return {found.start, found.end, module->bias, !ours_passed};
    }
    return {};
}

bool found;
bool bypassed;  // another malloc comes before ours
uint64_t allocator_bias;
bool is_libcs;  // the allocator: what its module calls malloc for may be the application's strdup

template <typename Function>
void look_up(Function*& function, const char* name, Function* otherwise) {
    const Definition definition = find_definition(name);
    function = definition.address == 0 ? otherwise : reinterpret_cast<Function*>(definition.address);
}

struct Redirected {
    const char* name;
    uint64_t original;
    uint64_t hooked;
};

struct Function {
    const char* name;
    uint64_t hooked;
};
#define OFFHEAP_FUNCTION(result, name, parameters, arguments) \
    {#name, reinterpret_cast<uint64_t>(&offheap_##name)},
const Function hooked_functions[] = {OFFHEAP_ALLOCATOR_FUNCTIONS(OFFHEAP_FUNCTION)};
#undef OFFHEAP_FUNCTION

// malloc and its like, where ours are not the first, and the C++ operators.
constexpr uint32_t kMaxRedirected = 64;
Redirected redirected[kMaxRedirected];
uint32_t redirected_count;

void redirect(const char* name, uint64_t hooked, uint64_t original) {
    if (redirected_count < kMaxRedirected) redirected[redirected_count++] = {name, original, hooked};
}

// Each operator whose first definition is the allocator's. Its hook calls the original.
void find_operators() {
    if (find_definition("_Znwm").bias != allocator_bias) return;
    for (uint32_t i = 0; i < kHookedOperators; ++i) {
        HookedOperator& each = hooked_operators[i];
        const Definition definition = find_definition(each.name);
        if (definition.address == 0 || definition.bias != allocator_bias) continue;
        each.original.address = definition.address;
        redirect(each.name, each.hooked.address, definition.address);
    }
}

// The allocator's functions, and the rest of its code.
Extent original_functions[sizeof hooked_functions / sizeof hooked_functions[0]];
Extent own_library;

// Not a program's, nor libc's: what runs there may be anything.
void find_own_library() {
    if (is_libcs || allocator_bias == 0 || linked_modules()->bias == allocator_bias) return;
    const ElfImage image(allocator_bias);
    for (uint32_t i = 0; i < image.segment_count; ++i) {
        const Elf64_Phdr& segment = image.segments[i];
        if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
        const uint64_t start = allocator_bias + segment.p_vaddr;
        if (own_library.start == 0) own_library.start = start;
        own_library.end = start + segment.p_memsz;
    }
}

uint64_t hooked_of(const Import& import, void*) {
    for (uint32_t i = 0; i < redirected_count; ++i) {
        if (!runtime::text_equal(import.name, redirected[i].name)) continue;
        return import.is_lazy || *import.slot == redirected[i].original ? redirected[i].hooked : 0;
    }
    return 0;
}

// Of the allocator's own imports: past us, to what it exports itself.
uint64_t original_of(const Import& import, void*) {
    for (const Function& function : hooked_functions) {
        if (!runtime::text_equal(import.name, function.name)) continue;
        if (!import.is_lazy && *import.slot != function.hooked) return 0;
        const Definition definition = find_definition(function.name);
        return definition.bias == allocator_bias ? definition.address : 0;
    }
    return 0;
}

}  // namespace

#define OFFHEAP_FIRST(result, name, parameters, arguments) .name = first_##name,
Allocator allocator = {OFFHEAP_ALLOCATOR_FUNCTIONS(OFFHEAP_FIRST)};
#undef OFFHEAP_FIRST

void find_allocator() {
    if (found) return;
    found = true;
    const Definition definition = find_definition("malloc");
    bypassed = definition.before_ours;
    allocator_bias = definition.bias;
    const uint64_t libc_bias = find_definition("gnu_get_libc_version").bias;
    is_libcs = definition.bias == libc_bias;
#define OFFHEAP_LOOK_UP(result, name, parameters, arguments) look_up(allocator.name, #name, otherwise_##name);
    OFFHEAP_ALLOCATOR_FUNCTIONS(OFFHEAP_LOOK_UP)
#undef OFFHEAP_LOOK_UP
    // libc's gets its memory from realloc by name, which is ours.
    if (find_definition("reallocarray").bias == libc_bias) allocator.reallocarray = otherwise_reallocarray;
    Extent* extent = original_functions;
    for (const Function& function : hooked_functions) {
        const Definition original = find_definition(function.name);
        *extent++ = {original.address, original.end};
        if (bypassed && original.address != 0) redirect(function.name, function.hooked, original.address);
    }
    find_operators();
    find_own_library();
}

uint64_t find_allocators_own(const char* name) {
    const Definition definition = find_definition(name);
    return definition.bias == allocator_bias ? definition.address : 0;
}

bool is_allocators(uint64_t address) {
    const auto holds = [address](const Extent& extent) {
        return address >= extent.start && address < extent.end;
    };
    for (const Extent& extent : original_functions) {
        if (holds(extent)) return true;
    }
    return holds(own_library);
}

bool is_bypassed() { return bypassed; }

bool redirects_allocations() { return redirected_count > 0 || !is_libcs; }

void redirect_allocations(uint64_t base) {
    const bool is_allocator = ElfImage(base).bias == allocator_bias;
    // What the allocator asks of itself is not the application's: jemalloc's operators call aligned_alloc by
    // its name.
    if (!is_allocator) {
        replace_imports(base, hooked_of, nullptr);
    } else if (!is_libcs && !bypassed) {
        replace_imports(base, original_of, nullptr);
    }
}

}  // namespace offheap::hook
