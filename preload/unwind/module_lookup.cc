#include "preload/unwind/module_lookup.h"

#include <elf.h>

#include "preload/unwind/capture.h"
#include "preload/unwind/keep_vectors.h"

// Declared here as well as in <dlfcn.h>, whose older versions lack it. Weak: null where libc has none.
// It is lock-free and async-signal-safe, which dl_iterate_phdr and dladdr are not.
extern "C" {
struct OffheapFoundObject {
    uint64_t flags;
    void* map_start;
    void* map_end;
    void* link_map;
    void* eh_frame_header;
    uint64_t reserved[7];
};
__attribute__((weak, visibility("default"))) int offheap_dl_find_object(
    void* address, OffheapFoundObject* result) __asm__("_dl_find_object");
}

namespace offheap::unwind {
namespace {

constexpr uint64_t kPageBytes = 4096;

long look_up(const void* address, const void* result) {
    return offheap_dl_find_object(const_cast<void*>(address),
                                  static_cast<OffheapFoundObject*>(const_cast<void*>(result)));
}

bool has_elf_magic(const Elf64_Ehdr& header) {
    return header.e_ident[EI_MAG0] == ELFMAG0 && header.e_ident[EI_MAG1] == ELFMAG1 &&
           header.e_ident[EI_MAG2] == ELFMAG2 && header.e_ident[EI_MAG3] == ELFMAG3 &&
           header.e_ident[EI_CLASS] == ELFCLASS64;
}

}  // namespace

bool has_table_lookup() { return offheap_dl_find_object != nullptr; }

bool find_module(uint64_t address, Module& module) {
    OffheapFoundObject found = {};
    if (!has_table_lookup() || offheap_keep_vectors(look_up, reinterpret_cast<void*>(address), &found) != 0) {
        return false;
    }
    module.range = {static_cast<const uint8_t*>(found.map_start), static_cast<const uint8_t*>(found.map_end)};
    module.eh_frame_header = static_cast<const uint8_t*>(found.eh_frame_header);
    return true;
}

const char* module_path(uint64_t address) {
    // As <link.h> begins struct link_map.
    struct LinkedObject {
        uint64_t bias;
        const char* path;
    };
    OffheapFoundObject found = {};
    if (!has_table_lookup() || offheap_keep_vectors(look_up, reinterpret_cast<void*>(address), &found) != 0) {
        return nullptr;
    }
    return static_cast<const LinkedObject*>(found.link_map)->path;
}

Bytes readable_segment(const Module& module, const uint8_t* address) {
    const Bytes none{address, address};
    if (!module.range.contains(address)) return none;
    // Only the first page is known to be there. Where the program headers lie elsewhere (patchelf may move
    // them), the loader has accepted the file, and its whole range is the best bound at hand.
    if (static_cast<uint64_t>(module.range.end - module.range.begin) < kPageBytes) return module.range;
    const auto& header = *reinterpret_cast<const Elf64_Ehdr*>(module.range.begin);
    const uint64_t headers_bytes = uint64_t{header.e_phnum} * sizeof(Elf64_Phdr);
    if (!has_elf_magic(header) || header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phoff % 8 != 0 ||
        header.e_phoff > kPageBytes || headers_bytes > kPageBytes - header.e_phoff) {
        return module.range;
    }
    const auto* segment = reinterpret_cast<const Elf64_Phdr*>(module.range.begin + header.e_phoff);
    const Elf64_Phdr* end = segment + header.e_phnum;
    uint64_t first_page = 0;
    for (bool is_first = true; segment < end; ++segment) {
        if (segment->p_type != PT_LOAD) continue;
        if (is_first) first_page = segment->p_vaddr & ~(kPageBytes - 1);
        is_first = false;
        const uint64_t base = reinterpret_cast<uint64_t>(module.range.begin) - first_page;
        const uint64_t low = base + segment->p_vaddr;
        // File bytes only: what lies behind them may be zero-filled, but holds no table.
        const Bytes range{reinterpret_cast<const uint8_t*>(low),
                          reinterpret_cast<const uint8_t*>(low + segment->p_filesz)};
        if (!range.contains(address)) continue;
        if ((segment->p_flags & PF_R) == 0) return none;
        if (range.begin < module.range.begin || range.end > module.range.end) return none;
        return range;
    }
    return none;
}

}  // namespace offheap::unwind
