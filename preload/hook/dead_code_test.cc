// Where a jump may be written: in padding that nothing reaches, and only there.
#include "preload/hook/dead_code.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "preload/hook/elf_image.h"
#include "preload/hook/modules.h"
#include "test/native/code_buffer.h"

namespace offheap::hook {
namespace {

using test::CodeBuffer;

constexpr uint64_t kNone = 0;

// An ELF image of functions at given places: file headers, the table of their extents, and a page of code
// that is int3 but for what a test puts there.
class ElfWithFunctions {
  public:
    struct Function {
        int32_t start, bytes;
    };
    static constexpr int32_t kTable = 0x200;
    static constexpr int32_t kDescriptions = 0x400;
    static constexpr int32_t kCode = 0x1000;

    explicit ElfWithFunctions(const std::vector<Function>& functions) {
        memory_ = static_cast<uint8_t*>(
            mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        memset(memory_ + kCode, 0xcc, kBytes - kCode);
        Elf64_Ehdr header = {};
        memcpy(header.e_ident, ELFMAG, SELFMAG);
        header.e_phoff = sizeof header;
        header.e_phentsize = sizeof(Elf64_Phdr);
        header.e_phnum = 2;
        put(0, header);
        Elf64_Phdr load = {};
        load.p_type = PT_LOAD;
        load.p_memsz = kBytes;
        put(sizeof header, load);
        Elf64_Phdr table = {};
        table.p_type = PT_GNU_EH_FRAME;
        table.p_vaddr = kTable;
        table.p_memsz = 12 + functions.size() * 8;
        put(sizeof header + sizeof load, table);
        put(kTable, uint32_t{0x3b031b01});
        put(kTable + 8, static_cast<uint32_t>(functions.size()));
        for (size_t i = 0; i < functions.size(); ++i) {
            const int32_t description = kDescriptions + static_cast<int32_t>(i) * 16;
            put(kTable + 12 + i * 8, kCode + functions[i].start - kTable);
            put(kTable + 16 + i * 8, description - kTable);
            put(static_cast<uint64_t>(description) + 12, functions[i].bytes);
        }
    }
    ~ElfWithFunctions() { munmap(memory_, kBytes); }
    ElfWithFunctions(const ElfWithFunctions&) = delete;
    ElfWithFunctions& operator=(const ElfWithFunctions&) = delete;

    uint64_t code(uint64_t offset) const { return reinterpret_cast<uint64_t>(memory_) + kCode + offset; }
    void put_code(uint64_t offset, const std::vector<uint8_t>& bytes) {
        memcpy(memory_ + kCode + offset, bytes.data(), bytes.size());
    }
    Module module() const {
        return {reinterpret_cast<uint64_t>(memory_), code(0), code(kBytes - kCode), "made"};
    }

  private:
    static constexpr uint64_t kBytes = 0x2000;

    template <typename Value>
    void put(uint64_t offset, const Value& value) {
        memcpy(memory_ + offset, &value, sizeof value);
    }

    uint8_t* memory_;
};

TEST(ShortReach, is_a_signed_byte_from_the_end_of_the_jump) {
    EXPECT_TRUE(in_short_reach(1000, 1002));
    EXPECT_TRUE(in_short_reach(1000, 1002 + 127));
    EXPECT_FALSE(in_short_reach(1000, 1002 + 128));
    EXPECT_TRUE(in_short_reach(1000, 1002 - 128));
    EXPECT_FALSE(in_short_reach(1000, 1002 - 129));
}

TEST(FunctionExtents, tell_gaps_from_functions) {
    const ElfWithFunctions elf({{0, 32}, {48, 16}, {64, 10}});
    const FunctionExtents extents(elf.module());
    ASSERT_TRUE(extents.available());
    EXPECT_FALSE(extents.in_gap(elf.code(0), elf.code(5)));
    EXPECT_FALSE(extents.in_gap(elf.code(31), elf.code(36)));
    EXPECT_TRUE(extents.in_gap(elf.code(32), elf.code(48)));
    EXPECT_FALSE(extents.in_gap(elf.code(44), elf.code(49)));
    EXPECT_FALSE(extents.in_gap(elf.code(60), elf.code(65))) << "neighbours without a gap";
    EXPECT_TRUE(extents.in_gap(elf.code(74), elf.code(79))) << "behind the last function";
    EXPECT_FALSE(extents.in_gap(elf.code(0) - 8, elf.code(0) - 3))
        << "before the first: nothing is known there";
}

TEST(FunctionExtents, are_unavailable_without_headers) {
    const CodeBuffer buffer;
    const FunctionExtents extents(buffer.module());
    EXPECT_FALSE(extents.available());
    EXPECT_FALSE(extents.in_gap(buffer.address(0), buffer.address(5)));
}

struct Nop {
    const char* name;
    std::vector<uint8_t> bytes;
};

// What gas, clang and the linkers fill gaps with.
std::vector<Nop> nops() {
    std::vector<Nop> all = {
        {"nop", {0x90}},
        {"xchg %ax,%ax", {0x66, 0x90}},
        {"nopl (%rax)", {0x0f, 0x1f, 0x00}},
        {"nopl 0(%rax)", {0x0f, 0x1f, 0x40, 0}},
        {"nopl 0(%rax,%rax,1)", {0x0f, 0x1f, 0x44, 0, 0}},
        {"nopw 0(%rax,%rax,1)", {0x66, 0x0f, 0x1f, 0x44, 0, 0}},
        {"nopl 0(%rax), long", {0x0f, 0x1f, 0x80, 0, 0, 0, 0}},
        {"nopl 0(%rax,%rax,1), long", {0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}},
        {"nopw 0(%rax,%rax,1), long", {0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}},
        {"int3", {0xcc}},
    };
    for (uint32_t prefixes = 1; prefixes <= 6; ++prefixes) {
        std::vector<uint8_t> bytes(prefixes, 0x66);
        for (const int byte : {0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0})
            bytes.push_back(static_cast<uint8_t>(byte));
        all.push_back({"cs nopw with prefixes", bytes});
    }
    return all;
}

TEST(FindPadding, takes_every_form_of_padding) {
    for (const Nop& nop : nops()) {
        SCOPED_TRACE(nop.name + (" of " + std::to_string(nop.bytes.size())));
        ElfWithFunctions elf({{0, 32}, {64, 32}});
        const FunctionExtents extents(elf.module());
        elf.put_code(32, std::vector<uint8_t>(32, 0xc3));  // no padding
        uint64_t filled = 32;
        while (filled < 37) {
            elf.put_code(filled, nop.bytes);
            filled += nop.bytes.size();
        }
        EXPECT_EQ(find_padding(elf.module(), extents, elf.code(20), nullptr, 0), elf.code(32));
    }
}

TEST(FindPadding, takes_nothing_that_may_run) {
    const std::vector<std::vector<uint8_t>> refused = {
        {0x90, 0x90, 0x90, 0x90, 0xc3},        // four bytes only
        {0xf3, 0x0f, 0x1e, 0xfa, 0xc3},        // endbr64
        {0xf3, 0x90, 0xf3, 0x90, 0xf3, 0x90},  // pause: a loop waits there
        {0x66, 0xcc, 0x66, 0xcc, 0x66, 0xcc},  // a prefixed int3 is no padding
        {0x0f, 0x0b, 0x0f, 0x0b, 0x0f, 0x0b},  // ud2
        {0x66, 0x66, 0x66, 0x66, 0x66, 0xc3},  // prefixes of something else
        {0x90, 0x90, 0x0f, 0x05, 0x90, 0x90},  // a system call
    };
    for (const std::vector<uint8_t>& bytes : refused) {
        ElfWithFunctions elf({{0, 32}, {64, 192}});
        const FunctionExtents extents(elf.module());
        elf.put_code(32, std::vector<uint8_t>(32, 0xc3));
        elf.put_code(32, bytes);
        EXPECT_EQ(find_padding(elf.module(), extents, elf.code(20), nullptr, 0), kNone) << int{bytes[0]};
    }
}

TEST(FindPadding, leaves_padding_inside_a_function_alone) {
    ElfWithFunctions elf({{0, 250}});
    elf.put_code(32, std::vector<uint8_t>(32, 0x90));  // a loop aligned by nops runs through them
    EXPECT_EQ(find_padding(elf.module(), FunctionExtents(elf.module()), elf.code(20), nullptr, 0), kNone);
}

TEST(FindPadding, does_not_reach_into_the_next_function) {
    ElfWithFunctions elf({{0, 32}, {36, 200}});  // a gap of four
    EXPECT_EQ(find_padding(elf.module(), FunctionExtents(elf.module()), elf.code(20), nullptr, 0), kNone);
}

TEST(FindPadding, gives_no_byte_away_twice) {
    ElfWithFunctions elf({{0, 32}, {47, 200}});  // room for three jumps
    const FunctionExtents extents(elf.module());
    std::vector<uint64_t> taken;
    for (;;) {
        const uint64_t found = find_padding(elf.module(), extents, elf.code(20), taken.data(),
                                            static_cast<uint32_t>(taken.size()));
        if (found == kNone) break;
        ASSERT_LT(taken.size(), 10u);
        for (const uint64_t other : taken) EXPECT_TRUE(found >= other + 5 || other >= found + 5);
        taken.push_back(found);
    }
    EXPECT_EQ(taken.size(), 3u);
}

TEST(FindPadding, stays_within_reach_on_both_sides) {
    for (const uint64_t site : {200u, 400u, 600u}) {
        ElfWithFunctions elf({{0, 300}, {320, 300}});
        const uint64_t found =
            find_padding(elf.module(), FunctionExtents(elf.module()), elf.code(site), nullptr, 0);
        if (site == 600) {
            EXPECT_TRUE(found >= elf.code(620)) << "only the end of the last function is in reach";
        } else {
            EXPECT_TRUE(found >= elf.code(300) && found + 5 <= elf.code(320)) << site;
        }
        EXPECT_TRUE(in_short_reach(elf.code(site), found));
    }
}

// Without extents int3 alone counts, up to where the next function begins.
TEST(FindPadding, takes_only_aligned_int3_runs_without_extents) {
    CodeBuffer buffer;
    const FunctionExtents none(buffer.module());
    buffer.fill(0, CodeBuffer::kBytes, 0x90);
    EXPECT_EQ(find_padding(buffer.module(), none, buffer.address(100), nullptr, 0), kNone);
    buffer.fill(118, 10, 0xcc);
    EXPECT_EQ(find_padding(buffer.module(), none, buffer.address(100), nullptr, 0), buffer.address(118));
    buffer.fill(118, 10, 0x90);
    buffer.fill(118, 9, 0xcc);
    EXPECT_EQ(find_padding(buffer.module(), none, buffer.address(100), nullptr, 0), kNone) << "may be data";
    buffer.fill(118, 9, 0x90);
    buffer.fill(124, 4, 0xcc);
    EXPECT_EQ(find_padding(buffer.module(), none, buffer.address(100), nullptr, 0), kNone) << "too short";
}

TEST(FindPadding, stays_within_the_module) {
    CodeBuffer buffer;
    const Module first_half = {0, buffer.address(0), buffer.address(64), "half"};
    buffer.fill(0, 64, 0x90);
    EXPECT_EQ(find_padding(first_half, FunctionExtents(first_half), buffer.address(60), nullptr, 0), kNone);
    EXPECT_EQ(find_padding(first_half, FunctionExtents(first_half), buffer.address(2), nullptr, 0), kNone);
}

// ---- the real thing: this process's libc ----

struct Libc {
    Libc() {
        static Module modules[kMaxStartModules];
        const uint32_t count = read_modules(modules);
        for (uint32_t i = 0; i < count; ++i) {
            if (std::string(modules[i].name).starts_with("libc.so")) module = modules[i];
        }
    }
    Module module = {};
};

TEST(FindPadding, finds_none_inside_an_exported_function_of_libc) {
    const Libc libc;
    ASSERT_NE(libc.module.base, 0u);
    const FunctionExtents extents(libc.module);
    ASSERT_TRUE(extents.available());
    const ElfImage image(libc.module.base);
    const auto* symbols = reinterpret_cast<const Elf64_Sym*>(image.dynamic_address(DT_SYMTAB));
    const auto* names = reinterpret_cast<const char*>(image.dynamic_address(DT_STRTAB));
    // The two tables follow one another.
    const auto count =
        static_cast<size_t>(reinterpret_cast<const char*>(names) - reinterpret_cast<const char*>(symbols)) /
        sizeof(Elf64_Sym);
    std::map<uint64_t, std::pair<uint64_t, const char*>> functions;
    for (size_t i = 0; i < count; ++i) {
        const Elf64_Sym& symbol = symbols[i];
        const uint8_t type = ELF64_ST_TYPE(symbol.st_info);
        const bool code = type == STT_FUNC || type == STT_GNU_IFUNC;
        if (!code || symbol.st_shndx == SHN_UNDEF || symbol.st_size == 0) continue;
        const uint64_t start = image.bias + symbol.st_value;
        functions[start] = {start + symbol.st_size, names + symbol.st_name};
    }
    // As if a site were everywhere. What has no description (the child's side of clone) must not look like
    // padding.
    uint32_t found = 0;
    for (const auto& [start, rest] : functions) {
        const auto& [end, name] = rest;
        EXPECT_FALSE(extents.in_gap(start, end)) << name;
        for (uint64_t site = start; site < end; site += 32) {
            const uint64_t padding = find_padding(libc.module, extents, site, nullptr, 0);
            if (padding == kNone) continue;
            ++found;
            const auto next = functions.upper_bound(padding + 4);
            if (next == functions.begin()) continue;
            const auto& [hit_end, hit_name] = std::prev(next)->second;
            EXPECT_LE(hit_end, padding)
                << hit_name << " would be written to at " << padding - std::prev(next)->first;
        }
    }
    EXPECT_GT(found, 1'000u);
    EXPECT_GT(functions.size(), 1'000u);
}

}  // namespace
}  // namespace offheap::hook
