#include "preload/hook/relocations.h"

#include <elf.h>
#include <sys/mman.h>

#include "preload/hook/elf_image.h"
#include "preload/hook/modules.h"
#include "preload/hook/operations.h"
#include "preload/hook/sites.h"
#include "preload/runtime/raw_syscall.h"
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

struct Import {
    const char* name;
    void (*replacement)();
    wire::Operation operation;  // kNone: syscall(), any
};

constexpr Import kImports[] = {
#define OFFHEAP_IMPORT(import, name, operation) \
    {import, offheap_relocated_##name, wire::Operation::operation},
    OFFHEAP_RELOCATED(OFFHEAP_IMPORT)
#undef OFFHEAP_IMPORT
};

const Import* import_named(const char* name) {
    for (const Import& import : kImports) {
        if (text_equal(name, import.name) && !is_rewritten(import.operation)) return &import;
    }
    return nullptr;
}

bool store(uint64_t slot, void (*value)(), bool read_only) {
    const uint64_t page = slot & ~4095ULL;
    if (read_only &&
        is_error(raw_syscall(kSysMprotect, static_cast<long>(page), 4096, PROT_READ | PROT_WRITE)))
        return false;
    __atomic_store_n(reinterpret_cast<uint64_t*>(slot), reinterpret_cast<uint64_t>(value), __ATOMIC_RELEASE);
    if (read_only) raw_syscall(kSysMprotect, static_cast<long>(page), 4096, PROT_READ);
    return true;
}

uint32_t redirect_module(const Module& module) {
    const ElfImage image(module.base);
    const auto* symbols = reinterpret_cast<const Elf64_Sym*>(image.dynamic_address(DT_SYMTAB));
    const auto* names = reinterpret_cast<const char*>(image.dynamic_address(DT_STRTAB));
    if (symbols == nullptr || names == nullptr) return 0;
    uint64_t relro_start = 0;
    uint64_t relro_end = 0;
    if (const Elf64_Phdr* segment = image.find(PT_GNU_RELRO)) {
        relro_start = (image.bias + segment->p_vaddr) & ~4095ULL;
        relro_end = (image.bias + segment->p_vaddr + segment->p_memsz) & ~4095ULL;
    }
    uint32_t redirected = 0;
    constexpr int64_t kTables[2][2] = {{DT_RELA, DT_RELASZ}, {DT_JMPREL, DT_PLTRELSZ}};
    for (const auto& table : kTables) {
        const auto* relocations = reinterpret_cast<const Elf64_Rela*>(image.dynamic_address(table[0]));
        const uint64_t count =
            relocations == nullptr ? 0 : image.dynamic_value(table[1]) / sizeof(Elf64_Rela);
        for (uint64_t i = 0; i < count; ++i) {
            const uint64_t type = ELF64_R_TYPE(relocations[i].r_info);
            if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT) continue;
            const Import* import = import_named(names + symbols[ELF64_R_SYM(relocations[i].r_info)].st_name);
            if (import == nullptr) continue;
            const uint64_t slot = image.bias + relocations[i].r_offset;
            redirected += store(slot, import->replacement, slot >= relro_start && slot < relro_end);
        }
    }
    return redirected;
}

}  // namespace

uint32_t redirect_imports(const Module* modules, uint32_t count) {
    const auto here = reinterpret_cast<uint64_t>(&redirect_imports);
    uint32_t redirected = 0;
    for (uint32_t i = 0; i < count; ++i) {
        const bool is_ours = here >= modules[i].code_start && here < modules[i].code_end;
        if (!is_ours) redirected += redirect_module(modules[i]);
    }
    return redirected;
}

}  // namespace offheap::hook
