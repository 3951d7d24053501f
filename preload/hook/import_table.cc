#include "preload/hook/import_table.h"

#include <elf.h>
#include <sys/mman.h>

#include "preload/hook/elf_image.h"
#include "preload/hook/process.h"
#include "preload/runtime/raw_syscall.h"

namespace offheap::hook {

using namespace offheap::runtime;

namespace {

bool store(const Import& import, uint64_t value) {
    const auto page = static_cast<long>(reinterpret_cast<uint64_t>(import.slot) & ~4095ULL);
    if (import.is_protected && is_error(raw_syscall(kSysMprotect, page, 4096, PROT_READ | PROT_WRITE)))
        return false;
    __atomic_store_n(import.slot, value, __ATOMIC_RELEASE);
    if (import.is_protected) raw_syscall(kSysMprotect, page, 4096, PROT_READ);
    return true;
}

}  // namespace

uint32_t replace_imports(uint64_t base, Replace replace, void* context) {
    const ElfImage image(base);
    const auto* symbols = reinterpret_cast<const Elf64_Sym*>(image.dynamic_address(DT_SYMTAB));
    const auto* names = reinterpret_cast<const char*>(image.dynamic_address(DT_STRTAB));
    if (symbols == nullptr || names == nullptr) return 0;
    uint64_t relro_start = 0;
    uint64_t relro_end = 0;
    const Elf64_Phdr* segment = image.find(PT_GNU_RELRO);
    if (segment != nullptr) {
        relro_start = (image.bias + segment->p_vaddr) & ~4095ULL;
        relro_end = (image.bias + segment->p_vaddr + segment->p_memsz) & ~4095ULL;
    }
    uint64_t end = 0;
    for (uint32_t i = 0; i < image.segment_count; ++i) {
        const Elf64_Phdr& loaded = image.segments[i];
        if (loaded.p_type == PT_LOAD && image.bias + loaded.p_vaddr + loaded.p_memsz > end)
            end = image.bias + loaded.p_vaddr + loaded.p_memsz;
    }
    uint32_t replaced = 0;
    bool touches_protected = false;
    constexpr int64_t kTables[2][2] = {{DT_RELA, DT_RELASZ}, {DT_JMPREL, DT_PLTRELSZ}};
    for (const auto& table : kTables) {
        const auto* relocations = reinterpret_cast<const Elf64_Rela*>(image.dynamic_address(table[0]));
        const uint64_t count =
            relocations == nullptr ? 0 : image.dynamic_value(table[1]) / sizeof(Elf64_Rela);
        for (uint64_t i = 0; i < count; ++i) {
            const uint64_t type = ELF64_R_TYPE(relocations[i].r_info);
            const bool is_import =
                type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT || type == R_X86_64_64;
            const auto symbol = static_cast<uint32_t>(ELF64_R_SYM(relocations[i].r_info));
            if (!is_import || symbol == 0) continue;
            const uint64_t slot = image.bias + relocations[i].r_offset;
            auto* const word = reinterpret_cast<uint64_t*>(slot);
            // A module that defines the function itself may be bound to its own.
            const bool is_own = *word == image.bias + symbols[symbol].st_value;
            const bool is_lazy = type == R_X86_64_JUMP_SLOT && *word >= base && *word < end && !is_own;
            const Import import{names + symbols[symbol].st_name, word,
                                slot >= relro_start && slot < relro_end, is_lazy};
            const uint64_t value = replace(import, context);
            if (value == 0) continue;
            touches_protected |= import.is_protected;
            replaced += store(import, value);
        }
    }
    if (touches_protected) note_own_protection(relro_start, relro_end - relro_start, PROT_READ);
    return replaced;
}

}  // namespace offheap::hook
