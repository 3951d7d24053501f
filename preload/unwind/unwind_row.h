// One row of an unwind table: how to find, at one address, the caller's registers.
#pragma once

#include <stdint.h>

#include "preload/unwind/registers.h"

namespace offheap::unwind {

// Where a caller's register is. Offsets of 24 bits hold every frame below 8 MiB; larger ones are
// `unsupported`.
enum class Place : uint8_t {
    same,            // not changed by the callee
    undefined,       // lost; for the return address: nothing called this function
    at_cfa,          // in memory at CFA + offset
    at_register,     // in memory at register + offset
    cfa_value,       // is CFA + offset
    register_value,  // is register + offset
    unsupported,
};

struct Location {
    int32_t offset : 24;
    uint32_t reg : 5;  // a DWARF number
    uint32_t place : 3;
};
static_assert(sizeof(Location) == 4, "rows lie on small stacks, up to four at a time");

inline constexpr int64_t kMaxOffset = (1 << 23) - 1;

inline Location locate(Place place, int64_t offset = 0, uint8_t reg = 0) {
    if (offset > kMaxOffset || offset < -kMaxOffset || reg >= kDwarfRegisters)
        place = Place::unsupported, offset = 0;
    return {static_cast<int32_t>(offset), reg, static_cast<uint32_t>(place)};
}

// An address that a rule or a DWARF expression comes down to, once the instruction pointer is known.
enum class Form : uint8_t {
    unknown,
    constant,  // offset
    sum,       // register + offset
    indirect,  // the word in memory at register + offset, plus `addend`
};

struct Term {
    Form form;
    uint8_t reg;  // a DWARF number
    int32_t addend;
    int64_t offset;
};

struct Row {
    Term cfa;  // the canonical frame address: rsp in the caller, right behind the call
    Location columns[kColumns];

    Place place(Column column) const { return static_cast<Place>(columns[column].place); }
};

}  // namespace offheap::unwind
