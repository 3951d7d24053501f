#include "preload/hook/exports.h"

#include <elf.h>

#include "preload/hook/elf_image.h"
#include "preload/hook/modules.h"
#include "preload/runtime/text.h"

namespace offheap::hook {

namespace {

uint32_t gnu_hash(const char* name) {
    uint32_t hash = 5381;
    for (; *name != 0; ++name) hash = hash * 33 + static_cast<uint8_t>(*name);
    return hash;
}

// DT_GNU_HASH: four words of head, a Bloom filter (which we skip), buckets, and chains whose last entry is
// odd.
struct HashTable {
    uint32_t bucket_count, first_symbol, bloom_words, bloom_shift;
};

bool is_definition(const Elf64_Sym& symbol, const char* names, const char* name) {
    return symbol.st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol.st_info) != STT_GNU_IFUNC &&
           runtime::text_equal(names + symbol.st_name, name);
}

// DT_HASH, in the few modules that have nothing newer: two words of head, buckets, and the chains' links.
Extent find_by_old_table(const ElfImage& image, const Elf64_Sym* symbols, const char* names,
                         const char* name) {
    const auto* table = reinterpret_cast<const uint32_t*>(image.dynamic_address(DT_HASH));
    if (table == nullptr) return {};
    const uint32_t symbol_count = table[1];
    for (uint32_t index = 1; index < symbol_count; ++index) {
        if (!is_definition(symbols[index], names, name)) continue;
        const uint64_t start = image.bias + symbols[index].st_value;
        return {start, start + symbols[index].st_size};
    }
    return {};
}

}  // namespace

Extent find_export(const Module& module, const char* name) {
    return find_export(ElfImage(module.base), name);
}

Extent find_export(const ElfImage& image, const char* name) {
    if (image.dynamic == nullptr) return {};
    const auto* table = reinterpret_cast<const HashTable*>(image.dynamic_address(DT_GNU_HASH));
    const auto* symbols = reinterpret_cast<const Elf64_Sym*>(image.dynamic_address(DT_SYMTAB));
    const auto* names = reinterpret_cast<const char*>(image.dynamic_address(DT_STRTAB));
    if (symbols == nullptr || names == nullptr) return {};
    if (table == nullptr) return find_by_old_table(image, symbols, names, name);
    if (table->bucket_count == 0) return {};
    const auto* buckets =
        reinterpret_cast<const uint32_t*>(reinterpret_cast<const uint64_t*>(table + 1) + table->bloom_words);
    const uint32_t* chains = buckets + table->bucket_count;
    const uint32_t hash = gnu_hash(name);
    uint32_t index = buckets[hash % table->bucket_count];
    if (index < table->first_symbol) return {};
    for (;; ++index) {
        const uint32_t entry = chains[index - table->first_symbol];
        const Elf64_Sym& symbol = symbols[index];
        if ((entry | 1) == (hash | 1) && is_definition(symbol, names, name)) {
            const uint64_t start = image.bias + symbol.st_value;
            return {start, start + symbol.st_size};
        }
        if ((entry & 1) != 0) return {};
    }
}

}  // namespace offheap::hook
