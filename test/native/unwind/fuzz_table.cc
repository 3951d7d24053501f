// The fuzzer's entry: bytes that pretend to be a module's unwind table, and the addresses to look up in it.
//
// The first byte says which ways to take; the rest is .eh_frame_hdr with the .eh_frame behind it.
#include <stddef.h>
#include <stdint.h>

#include "preload/unwind/cfa_expression.h"
#include "preload/unwind/cfa_program.h"
#include "preload/unwind/eh_frame.h"
#include "preload/unwind/rule_compiler.h"

using namespace offheap::unwind;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 1) return 0;
    const uint8_t way = data[0];
    const Bytes bytes{data + 1, data + size};
    const uint64_t base = reinterpret_cast<uint64_t>(bytes.begin);
    Row row;
    if (way % 4 == 1) {
        fold_expression(bytes, base);
        return 0;
    }
    if (way % 4 == 2) {
        const Bytes none{bytes.begin, bytes.begin};
        const FrameDescription description{base, base + 4096, none,      bytes,
                                           1,    -8,          kDwarfRip, (way & 0x80) != 0};
        for (uint64_t offset = 0; offset < 64; offset += 7) {
            if (run_program(description, base + offset, row)) fold_row(row, description.is_signal_frame);
        }
        return 0;
    }
    const Module module{bytes, bytes.begin + (way >= 0x80 ? size / 2 : 0)};
    for (uint64_t offset = 0; offset <= 0x100; offset += 3) {
        FrameDescription description;
        if (!find_frame_description(module, base + offset, description)) continue;
        if (run_program(description, base + offset, row)) fold_row(row, description.is_signal_frame);
    }
    return 0;
}
