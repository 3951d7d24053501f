// A loaded ELF object's headers, read where the loader mapped them.
#pragma once

#include <elf.h>
#include <stdint.h>

namespace offheap::hook {

struct ElfImage {
    uint64_t bias = 0;  // runtime address = bias + address in the file
    const Elf64_Phdr* segments = nullptr;
    uint32_t segment_count = 0;
    const Elf64_Dyn* dynamic = nullptr;

    // `base` is where offset 0 of the file is mapped; an image with no segments stands for anything
    // unexpected.
    explicit ElfImage(uint64_t base) {
        if (base == 0) return;
        const auto* header = reinterpret_cast<const Elf64_Ehdr*>(base);
        const bool expected = header->e_ident[EI_MAG0] == ELFMAG0 && header->e_ident[EI_MAG1] == ELFMAG1 &&
                              header->e_phoff <= 2048 && header->e_phentsize == sizeof(Elf64_Phdr) &&
                              header->e_phnum <= 32;
        if (!expected) return;
        const auto* all = reinterpret_cast<const Elf64_Phdr*>(base + header->e_phoff);
        uint64_t lowest = ~0ULL;
        for (uint32_t i = 0; i < header->e_phnum; ++i) {
            if (all[i].p_type == PT_LOAD && all[i].p_vaddr < lowest) lowest = all[i].p_vaddr;
        }
        if (lowest == ~0ULL) return;
        bias = base - (lowest & ~4095ULL);
        segments = all;
        segment_count = header->e_phnum;
        if (const Elf64_Phdr* segment = find(PT_DYNAMIC)) {
            dynamic = reinterpret_cast<const Elf64_Dyn*>(bias + segment->p_vaddr);
        }
    }

    // A module without its headers: only its dynamic section is looked at.
    ElfImage(uint64_t load_bias, const Elf64_Dyn* dynamic_section)
        : bias(load_bias), dynamic(dynamic_section) {}

    const Elf64_Phdr* find(uint32_t type) const {
        for (uint32_t i = 0; i < segment_count; ++i) {
            if (segments[i].p_type == type) return &segments[i];
        }
        return nullptr;
    }

    uint64_t dynamic_value(int64_t tag) const {
        for (const Elf64_Dyn* entry = dynamic; entry != nullptr && entry->d_tag != DT_NULL; ++entry) {
            if (entry->d_tag == tag) return entry->d_un.d_val;
        }
        return 0;
    }

    // The loader makes these entries absolute in place, except in objects whose dynamic section is read-only.
    uint64_t dynamic_address(int64_t tag) const {
        const uint64_t value = dynamic_value(tag);
        return value != 0 && value < bias ? bias + value : value;
    }
};

}  // namespace offheap::hook
