#include "preload/hook/go_program.h"

#include "preload/hook/elf_image.h"
#include "preload/hook/modules.h"
#include "preload/runtime/text.h"

namespace offheap::hook {

namespace {

constexpr uint32_t kGoBuildIdNote = 4;

constexpr uint64_t round_up(uint64_t bytes, uint64_t step) { return (bytes + step - 1) / step * step; }

bool holds_go_note(uint64_t start, const Elf64_Phdr& segment) {
    const uint64_t align = segment.p_align == 8 ? 8 : 4;
    const uint64_t end = start + segment.p_memsz;
    while (start + sizeof(Elf64_Nhdr) <= end) {
        const auto* note = reinterpret_cast<const Elf64_Nhdr*>(start);
        const auto* name = reinterpret_cast<const char*>(note + 1);
        if (note->n_type == kGoBuildIdNote && note->n_namesz == 4 && start + sizeof *note + 4 <= end &&
            runtime::text_starts(name, "Go")) {
            return true;
        }
        start += sizeof *note + round_up(note->n_namesz, align) + round_up(note->n_descsz, align);
    }
    return false;
}

}  // namespace

bool is_go_program(const Module& module) {
    const ElfImage image(module.base);
    for (uint32_t i = 0; i < image.segment_count; ++i) {
        const Elf64_Phdr& segment = image.segments[i];
        if (segment.p_type == PT_NOTE && holds_go_note(image.bias + segment.p_vaddr, segment)) return true;
    }
    return false;
}

}  // namespace offheap::hook
