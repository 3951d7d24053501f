// The functions of an ELF file, sorted for look-ups by address.
#pragma once

#include <stdint.h>

#include <span>
#include <vector>

#include "native/addon/address_range.h"

namespace offheap::addon {

// A symbol table (ELF64 entries) with its names. `sections` are the file's by their index: a symbol without a
// size reaches no further than the one that holds it.
struct SymbolInput {
    std::span<const uint8_t> symbols;
    std::span<const uint8_t> names;
    std::vector<AddressRange> sections;
};

// A stub of the procedure linkage table; `name` is the called function's, as an offset into `stub_names`.
struct Stub {
    AddressRange range;
    uint32_t name;
};

struct IndexInput {
    std::vector<SymbolInput> tables;
    // Executable segments; what lies outside is no function.
    std::vector<AddressRange> code;
    std::vector<Stub> stubs;
    std::span<const uint8_t> stub_names;
    // Functions as .eh_frame tells them, in any order.
    std::vector<AddressRange> unwind;
};

// Virtual addresses are relative to `base`. Between two boundaries the function is the same: the innermost
// one there. All that is here is what a file says, so none of it is to be trusted by whoever reads it.
struct FunctionIndex {
    static constexpr uint32_t kStub = 1u << 31;

    uint64_t base = 0;
    std::vector<uint32_t> boundaries;
    // From each boundary on, the position of a function, or -1 for none.
    std::vector<int32_t> owners;
    std::vector<uint32_t> addresses;
    // Where each function's name begins in `names`; 0 for one without a name; kStub is added for a stub.
    std::vector<uint32_t> name_offsets;
    // Without versions, each ended by NUL; begins with an empty one.
    std::vector<char> names;
    uint32_t named = 0;
    // The file had its full symbol table.
    bool full = false;
    // Where in `names` the name of the separate debug file stands that the file tells; 0 for none.
    uint32_t debug_link = 0;
};

FunctionIndex index_functions(const IndexInput& input);

}  // namespace offheap::addon
