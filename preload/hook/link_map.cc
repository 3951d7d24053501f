#include "preload/hook/link_map.h"

#include <sys/auxv.h>

namespace offheap::hook {

namespace {

// As in <link.h>.
struct LoaderState {
    int32_t version;
    const LinkedModule* modules;
};

constexpr uint32_t kElfMagic = 0x464c457f;  // "\x7fELF"

LinkedModule libc_alone;

// libc by itself, where the loader's list isn't told: its headers lie before its code, all in one piece.
const LinkedModule* find_libc() {
    uint64_t base = reinterpret_cast<uint64_t>(&getauxval) & ~4095ULL;
    while (*reinterpret_cast<const uint32_t*>(base) != kElfMagic) base -= 4096;
    const ElfImage image(base);
    libc_alone = {image.bias, "", image.dynamic, nullptr, nullptr};
    return &libc_alone;
}

}  // namespace

const LinkedModule* linked_modules() {
    const auto* segments = reinterpret_cast<const Elf64_Phdr*>(getauxval(AT_PHDR));
    const uint64_t count = getauxval(AT_PHNUM);
    if (segments == nullptr) return find_libc();
    // A program that can be loaded anywhere tells its bias by where its headers are.
    uint64_t bias = 0;
    const Elf64_Dyn* entry = nullptr;
    for (uint64_t i = 0; i < count; ++i) {
        if (segments[i].p_type == PT_PHDR) bias = reinterpret_cast<uint64_t>(segments) - segments[i].p_vaddr;
    }
    for (uint64_t i = 0; i < count; ++i) {
        if (segments[i].p_type == PT_DYNAMIC)
            entry = reinterpret_cast<const Elf64_Dyn*>(bias + segments[i].p_vaddr);
    }
    for (; entry != nullptr && entry->d_tag != DT_NULL; ++entry) {
        if (entry->d_tag != DT_DEBUG || entry->d_un.d_ptr == 0) continue;
        return reinterpret_cast<const LoaderState*>(entry->d_un.d_ptr)->modules;
    }
    return find_libc();
}

}  // namespace offheap::hook
