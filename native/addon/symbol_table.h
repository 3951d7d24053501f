// Look-ups by address in a file's functions, in the bytes in which they are kept.
#pragma once

#include <stdint.h>

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "native/addon/function_index.h"

namespace offheap::addon {

// A view of what `lay_out_symbol_table` writes. The bytes may come from a damaged file and may change while
// they are read: whatever they hold, look-ups end, and within the bytes.
class SymbolTable {
  public:
    static constexpr size_t kLongestName = 16384;

    SymbolTable() = default;
    // None where the parts don't make up the bytes, which begin at a multiple of 4.
    static std::optional<SymbolTable> over(std::span<const uint8_t> bytes);

    // Of the function that holds the byte at a virtual address of the file, or -1.
    int32_t index_at(double address) const;
    // Virtual address in the file.
    uint64_t address_of(uint32_t index) const;
    // As in the file's symbol table, empty for a function without a name. It is cut where it is too long.
    std::string_view name_of(uint32_t index) const;
    bool is_stub(uint32_t index) const;
    // Name of the separate debug file that the file tells of, or empty.
    std::string_view debug_link() const { return text_at(debug_link_); }
    // Whether the file had its full symbol table.
    bool full() const { return full_; }

    uint32_t count() const { return functions_; }
    uint32_t named() const { return named_; }

  private:
    std::string_view text_at(uint32_t offset) const;

    uint64_t base_ = 0;
    uint32_t functions_ = 0, boundary_count_ = 0, name_bytes_ = 0, named_ = 0, debug_link_ = 0;
    bool full_ = false;
    const uint32_t* boundaries_ = nullptr;
    const int32_t* owners_ = nullptr;
    const uint32_t* addresses_ = nullptr;
    const uint32_t* name_offsets_ = nullptr;
    const char* names_ = nullptr;
};

// Eight numbers of 32 bits: base (two), functions, boundaries, bytes of names, functions with a name, 1 for a
// full table, where the name of the debug file stands; then boundaries, owners, addresses, name offsets, as
// in FunctionIndex, and the names.
size_t symbol_table_size(const FunctionIndex& index);
void lay_out_symbol_table(const FunctionIndex& index, uint8_t* bytes);

}  // namespace offheap::addon
