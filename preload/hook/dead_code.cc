#include "preload/hook/dead_code.h"

#include "preload/hook/elf_image.h"
#include "preload/hook/modules.h"

namespace offheap::hook {

namespace {

constexpr uint64_t kJumpBytes = 5;
constexpr uint64_t kSearchBytes = 136;
constexpr uint8_t kInt3 = 0xcc;

uint8_t byte_at(uint64_t address) { return *reinterpret_cast<const uint8_t*>(address); }

// The bytes of the no-operation instruction at `address`, 0 when another stands there: the forms that
// assemblers pad with, [66 …] [2e] 0f 1f /0, 66 … 90, and int3.
uint64_t padding_instruction_bytes(uint64_t address, uint64_t limit) {
    uint64_t at = address;
    while (at < limit && (byte_at(at) == 0x66 || byte_at(at) == 0x2e)) ++at;
    if (at >= limit) return 0;
    if (byte_at(at) == 0x90) return at + 1 - address;
    if (byte_at(at) == kInt3 && at == address) return 1;
    if (at + 3 > limit || byte_at(at) != 0x0f || byte_at(at + 1) != 0x1f) return 0;
    const uint8_t modrm = byte_at(at + 2);
    uint64_t bytes = 3;
    if ((modrm & 7) == 4) ++bytes;  // a SIB byte follows
    if (modrm >> 6 == 1) bytes += 1;
    if (modrm >> 6 == 2) bytes += 4;
    return at + bytes <= limit ? at + bytes - address : 0;
}

bool is_taken(uint64_t start, const uint64_t* taken, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
        if (start < taken[i] + kJumpBytes && taken[i] < start + kJumpBytes) return true;
    }
    return false;
}

}  // namespace

FunctionExtents::FunctionExtents(const Module& module) {
    const ElfImage image(module.base);
    const Elf64_Phdr* segment = image.find(PT_GNU_EH_FRAME);
    if (segment == nullptr || segment->p_memsz < 12) return;
    header_ = image.bias + segment->p_vaddr;
    // version 1; pointer pcrel sdata4; count udata4; table datarel sdata4: what every linker writes
    if (byte_at(header_) != 1 || byte_at(header_ + 1) != 0x1b || byte_at(header_ + 2) != 0x03 ||
        byte_at(header_ + 3) != 0x3b) {
        return;
    }
    count_ = *reinterpret_cast<const uint32_t*>(header_ + 8);
    if (count_ == 0 || 12 + uint64_t{count_} * sizeof(Entry) > segment->p_memsz) return;
    table_ = reinterpret_cast<const Entry*>(header_ + 12);
}

uint64_t FunctionExtents::function_end(const Entry& entry) const {
    // A frame description: length, distance to its common entry, start (pcrel sdata4), bytes of code.
    const uint64_t description = header_ + static_cast<int64_t>(entry.description);
    const uint64_t bytes = *reinterpret_cast<const uint32_t*>(description + 12);
    return header_ + static_cast<int64_t>(entry.function) + bytes;
}

bool FunctionExtents::in_gap(uint64_t start, uint64_t end) const {
    if (table_ == nullptr) return false;
    uint32_t low = 0;
    uint32_t high = count_;
    while (low < high) {  // the first function that starts behind `start`
        const uint32_t middle = (low + high) / 2;
        if (header_ + static_cast<int64_t>(table_[middle].function) > start) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    if (low == 0 || function_end(table_[low - 1]) > start) return false;
    return low == count_ || header_ + static_cast<int64_t>(table_[low].function) >= end;
}

uint64_t find_padding(const Module& module, const FunctionExtents& extents, uint64_t site,
                      const uint64_t* taken, uint32_t taken_count) {
    const uint64_t low = site - kSearchBytes > module.code_start ? site - kSearchBytes : module.code_start;
    const uint64_t high = site + kSearchBytes < module.code_end ? site + kSearchBytes : module.code_end;
    for (uint64_t at = low; at + kJumpBytes <= high; ++at) {
        if (!in_short_reach(site, at) || is_taken(at, taken, taken_count)) continue;
        if (!extents.available()) {
            uint64_t run = 0;
            while (at + run < high && byte_at(at + run) == kInt3) ++run;
            // Padding ends where the next function begins, at an aligned address; int3 bytes elsewhere may be
            // data.
            if (run >= kJumpBytes && (at + run) % 16 == 0) return at;
            continue;
        }
        if (!extents.in_gap(at, at + kJumpBytes)) continue;
        uint64_t end = at;
        while (end < at + kJumpBytes) {
            const uint64_t bytes = padding_instruction_bytes(end, module.code_end);
            if (bytes == 0) break;
            end += bytes;
        }
        if (end >= at + kJumpBytes) return at;
    }
    return 0;
}

}  // namespace offheap::hook
