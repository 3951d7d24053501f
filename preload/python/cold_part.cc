#include "preload/python/cold_part.h"

#include "preload/unwind/eh_frame.h"
#include "preload/unwind/module_lookup.h"

namespace offheap::python {

using unwind::Bytes;

namespace {

constexpr uint32_t kMostParts = 16;
// Bytes are taken for jumps wherever they look like one: so many don't come to lead into one function by
// chance.
constexpr uint32_t kCertainJumps = 16;

struct Part {
    CodeRange range;
    uint32_t jumps;
};

// Where the instruction leads if it is a jump by 32 bits (E9, 0F 80 to 0F 8F), else 0. Six bytes must be
// there.
uint64_t jump_target(const uint8_t* code) {
    const uint32_t opcode_bytes = code[0] == 0xe9 ? 1 : code[0] == 0x0f && (code[1] & 0xf0) == 0x80 ? 2 : 0;
    if (opcode_bytes == 0) return 0;
    const uint8_t* const offset = code + opcode_bytes;
    const auto distance = static_cast<int32_t>(uint32_t{offset[0]} | uint32_t{offset[1]} << 8 |
                                               uint32_t{offset[2]} << 16 | uint32_t{offset[3]} << 24);
    return reinterpret_cast<uint64_t>(offset + 4) + static_cast<uint64_t>(int64_t{distance});
}

// The function whose middle the address is, empty if it is none's.
CodeRange function_around(const unwind::Module& module, uint64_t address) {
    unwind::FrameDescription description;
    if (!module.range.contains(reinterpret_cast<const uint8_t*>(address))) return {};
    if (!unwind::find_frame_description(module, address, description)) return {};
    if (description.function == address) return {};
    return {description.function, description.function_end};
}

}  // namespace

CodeRange find_cold_part(CodeRange function) {
    unwind::Module module;
    if (!unwind::find_module(function.start, module)) return {};
    const auto* const begin = reinterpret_cast<const uint8_t*>(function.start);
    const auto* const end = reinterpret_cast<const uint8_t*>(function.end);
    const Bytes segment = unwind::readable_segment(module, begin);
    if (!segment.contains(begin) || end < begin || end > segment.end) return {};
    Part parts[kMostParts] = {};
    uint32_t count = 0;
    const Part* best = nullptr;
    for (const uint8_t* code = begin; code + 6 <= end; ++code) {
        const uint64_t target = jump_target(code);
        if (target == 0 || function.contains(target)) continue;
        const CodeRange range = function_around(module, target);
        if (range.end == 0) continue;
        uint32_t i = 0;
        while (i < count && parts[i].range.start != range.start) ++i;
        if (i == kMostParts) continue;
        if (i == count) parts[count++].range = range;
        ++parts[i].jumps;
        if (best == nullptr || parts[i].jumps > best->jumps) best = &parts[i];
    }
    return best != nullptr && best->jumps >= kCertainJumps ? best->range : CodeRange{};
}

}  // namespace offheap::python
