// Writes unwind tables by hand: .eh_frame_hdr, one CIE and FDEs, as a linker lays them out.
#pragma once

#include <stdint.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "preload/unwind/eh_frame.h"

namespace offheap::unwind {

using Program = std::vector<uint8_t>;

// What gcc starts every CIE with: CFA = rsp + 8, return address at CFA - 8.
inline const Program kCallProgram = {0x0c, 7, 8, 0x90, 1};

struct TestFunction {
    uint32_t start;  // from the table's first byte
    uint32_t bytes;
    Program program;
};

class TableBytes {
  public:
    TableBytes(std::vector<TestFunction> functions, std::string augmentation = "zR",
               Program common = kCallProgram) {
        const uint32_t header_bytes = 12 + 8 * static_cast<uint32_t>(functions.size());
        const uint32_t common_at = header_bytes;
        std::vector<uint8_t> frames = common_entry(augmentation, common);
        bytes_ = {1, 0x1b, 0x03, 0x3b};
        append_u32(bytes_, header_bytes - 4);
        append_u32(bytes_, static_cast<uint32_t>(functions.size()));
        for (const TestFunction& function : functions) {
            const auto entry_at = static_cast<uint32_t>(header_bytes + frames.size());
            append_u32(bytes_, function.start);
            append_u32(bytes_, entry_at);
            std::vector<uint8_t> body;
            append_u32(body, entry_at + 4 - common_at);
            append_u32(body, function.start - (entry_at + 8));  // pcrel
            append_u32(body, function.bytes);
            body.push_back(0);  // augmentation data
            append(body, function.program);
            append_u32(frames, static_cast<uint32_t>(body.size()));
            append(frames, body);
        }
        append(bytes_, frames);
    }

    std::vector<uint8_t>& bytes() { return bytes_; }
    uint64_t base() const { return reinterpret_cast<uint64_t>(bytes_.data()); }
    Module module() const { return {{bytes_.data(), bytes_.data() + bytes_.size()}, bytes_.data()}; }

    static void append_u32(std::vector<uint8_t>& bytes, uint32_t value) {
        for (int i = 0; i < 4; ++i) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
    }

  private:
    template <typename Values>
    static void append(std::vector<uint8_t>& bytes, const Values& values) {
        for (const auto value : values) bytes.push_back(static_cast<uint8_t>(value));
    }

    static std::vector<uint8_t> common_entry(const std::string& augmentation, const Program& program) {
        std::vector<uint8_t> body;
        append_u32(body, 0);
        body.push_back(1);
        append(body, augmentation);
        append(body, Program{0, 1, 0x78, 16});  // code factor 1, data factor -8, return column rip
        if (augmentation[0] == 'z') append(body, Program{1, 0x1b});
        append(body, program);
        std::vector<uint8_t> entry;
        append_u32(entry, static_cast<uint32_t>(body.size()));
        append(entry, body);
        return entry;
    }

    std::vector<uint8_t> bytes_;
};

}  // namespace offheap::unwind
