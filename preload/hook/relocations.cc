#include "preload/hook/relocations.h"

#include "preload/hook/import_table.h"
#include "preload/hook/modules.h"
#include "preload/hook/operations.h"
#include "preload/hook/sites.h"
#include "preload/runtime/text.h"

extern "C" {
#define OFFHEAP_RELOCATED(X)                                 \
    X("mmap", mmap, kMmap)                                   \
    X("mmap64", mmap, kMmap)                                 \
    X("munmap", munmap, kMunmap)                             \
    X("mremap", mremap, kMremap)                             \
    X("madvise", madvise, kMadvise)                          \
    X("mprotect", mprotect, kMprotect)                       \
    X("pkey_mprotect", pkey_mprotect, kPkeyMprotect)         \
    X("remap_file_pages", remap_file_pages, kRemapFilePages) \
    X("process_madvise", process_madvise, kProcessMadvise)   \
    X("shmat", shmat, kShmat)                                \
    X("shmdt", shmdt, kShmdt)                                \
    X("syscall", syscall, kNone)
#define OFFHEAP_DECLARE(import, name, operation) void offheap_relocated_##name();
OFFHEAP_RELOCATED(OFFHEAP_DECLARE)
#undef OFFHEAP_DECLARE
}

namespace offheap::hook {

using namespace offheap::runtime;

namespace {

struct Redirected {
    const char* name;
    void (*replacement)();
    wire::Operation operation;  // kNone: syscall(), any
};

constexpr Redirected kRedirected[] = {
#define OFFHEAP_IMPORT(import, name, operation) \
    {import, offheap_relocated_##name, wire::Operation::operation},
    OFFHEAP_RELOCATED(OFFHEAP_IMPORT)
#undef OFFHEAP_IMPORT
};

const Redirected* import_named(const char* name) {
    for (const Redirected& each : kRedirected) {
        if (text_equal(name, each.name) && !is_rewritten(each.operation)) return &each;
    }
    return nullptr;
}

uint64_t replacement_of(const Import& import, void*) {
    const Redirected* redirected = import_named(import.name);
    return redirected == nullptr ? 0 : reinterpret_cast<uint64_t>(redirected->replacement);
}

}  // namespace

uint32_t redirect_imports(const Module* modules, uint32_t count) {
    const auto here = reinterpret_cast<uint64_t>(&redirect_imports);
    uint32_t redirected = 0;
    for (uint32_t i = 0; i < count; ++i) {
        const bool is_ours = here >= modules[i].code_start && here < modules[i].code_end;
        if (!is_ours) redirected += replace_imports(modules[i].base, replacement_of, nullptr);
    }
    return redirected;
}

}  // namespace offheap::hook
