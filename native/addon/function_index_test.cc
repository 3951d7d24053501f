#include "native/addon/function_index.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <string.h>

#include <fstream>
#include <memory>
#include <random>
#include <string>

#include "native/addon/plt_stubs.h"
#include "native/addon/unwind_ranges.h"

namespace offheap::addon {
namespace {

using Bytes = std::vector<uint8_t>;

// Named functions are found by what they are called; an empty text stands for one without a name, "-" for
// none.
std::string name_at(const FunctionIndex& index, uint64_t address) {
    size_t at = 0;
    while (at < index.boundaries.size() && index.base + index.boundaries[at] <= address) ++at;
    const int32_t owner = at == 0 ? -1 : index.owners[at - 1];
    if (owner < 0) return "-";
    const uint32_t offset = index.name_offsets[owner];
    return std::string(index.names.data() + (offset & ~FunctionIndex::kStub)) +
           ((offset & FunctionIndex::kStub) != 0 ? "@plt" : "");
}

// A table of functions in one executable segment from 0x1000 to 0x9000.
struct Tables {
    std::vector<Elf64_Sym> symbols;
    std::string names = std::string(1, '\0');
    std::vector<AddressRange> unwind;

    void add(const char* name, uint64_t address, uint64_t bytes, int binding = STB_GLOBAL) {
        Elf64_Sym symbol{};
        symbol.st_name = static_cast<Elf64_Word>(names.size());
        symbol.st_info = static_cast<unsigned char>(ELF64_ST_INFO(binding, STT_FUNC));
        symbol.st_shndx = 1;
        symbol.st_value = address;
        symbol.st_size = bytes;
        symbols.push_back(symbol);
        names.append(name).push_back('\0');
    }

    FunctionIndex index() const {
        IndexInput input;
        input.tables.push_back(
            {{reinterpret_cast<const uint8_t*>(symbols.data()), symbols.size() * sizeof(Elf64_Sym)},
             {reinterpret_cast<const uint8_t*>(names.data()), names.size()},
             {}});
        input.code = {{0x1000, 0x9000}};
        input.unwind = unwind;
        return index_functions(input);
    }
};

TEST(FunctionIndex, NamesTheInnermostFunctionAndNoPadding) {
    Tables tables;
    tables.add("outer", 0x2000, 0x100);
    tables.add("inner", 0x2010, 0x10);
    const FunctionIndex index = tables.index();
    EXPECT_EQ(name_at(index, 0x1fff), "-");
    EXPECT_EQ(name_at(index, 0x2000), "outer");
    EXPECT_EQ(name_at(index, 0x201f), "inner");
    EXPECT_EQ(name_at(index, 0x2020), "outer");
    EXPECT_EQ(name_at(index, 0x2100), "-");
}

TEST(FunctionIndex, PrefersTheNameThatPeopleKnow) {
    Tables tables;
    tables.add("__mmap", 0x2000, 8);
    tables.add("mmap64@@GLIBC_2.2.5", 0x2000, 8);
    tables.add("mmap@@GLIBC_2.2.5", 0x2000, 8);
    tables.add("a", 0x2000, 8, STB_LOCAL);
    tables.add("b", 0x2000, 0);
    EXPECT_EQ(name_at(tables.index(), 0x2004), "mmap");
}

TEST(FunctionIndex, EndsALabelWithoutASizeWhereUnwindingSaysThatAnotherFunctionBegins) {
    Tables tables;
    tables.add("label", 0x2000, 0);
    tables.add("last", 0x4000, 0);
    EXPECT_EQ(name_at(tables.index(), 0x3000), "label");
    tables.unwind = {{0x3000, 0x3080}, {0x4000, 0x4010}};
    const FunctionIndex index = tables.index();
    EXPECT_EQ(name_at(index, 0x2fff), "label");
    EXPECT_EQ(name_at(index, 0x3000), "");
    EXPECT_EQ(name_at(index, 0x3080), "-");
    EXPECT_EQ(name_at(index, 0x400f), "last");
    EXPECT_EQ(name_at(index, 0x4010), "-");
}

TEST(FunctionIndex, TakesNothingOutsideOfCode) {
    Tables tables;
    tables.add("below", 0x0fff, 4);
    tables.add("beyond", 0x9000, 4);
    tables.add("across", 0x8ffe, UINT64_MAX);
    const FunctionIndex index = tables.index();
    EXPECT_EQ(index.named, 1U);
    EXPECT_EQ(name_at(index, 0x8fff), "across");
    EXPECT_EQ(name_at(index, 0x9000), "-");
}

// This program's own, read once.
const Bytes& own_file() {
    static const Bytes bytes = [] {
        std::ifstream file("/proc/self/exe", std::ios::binary | std::ios::ate);
        Bytes content(static_cast<size_t>(file.tellg()));
        file.seekg(0);
        file.read(reinterpret_cast<char*>(content.data()), static_cast<std::streamsize>(content.size()));
        return content;
    }();
    return bytes;
}

// This program's own file, some of its bytes changed. Copies of the exact size let the sanitizers see each
// byte too far.
class Mutator {
  public:
    explicit Mutator(uint32_t seed) : random_(seed), file_(own_file()) {
        memcpy(&header_, file_.data(), sizeof header_);
        sections_.resize(header_.e_shnum);
        memcpy(sections_.data(), file_.data() + header_.e_shoff, sections_.size() * sizeof(Elf64_Shdr));
    }

    const Elf64_Shdr* find(const std::string& name) const {
        const uint64_t names = sections_[header_.e_shstrndx].sh_offset;
        for (const Elf64_Shdr& section : sections_) {
            if (name == reinterpret_cast<const char*>(file_.data() + names + section.sh_name))
                return &section;
        }
        return nullptr;
    }

    std::span<const uint8_t> changed(const std::string& name) {
        const Elf64_Shdr* section = find(name);
        if (section == nullptr) return {};
        size_t bytes = std::min<size_t>(section->sh_size, 16384);
        if (below(4) == 0) bytes = below(bytes + 1);
        auto& copy = copies_.emplace_back(new uint8_t[bytes]);
        memcpy(copy.get(), file_.data() + section->sh_offset, bytes);
        for (uint64_t changes = below(12); changes > 0 && bytes >= 8; --changes) {
            const uint64_t value = random_() >> below(64);
            memcpy(copy.get() + below(bytes - 7), &value, below(2) == 0 ? 1 : 8);
        }
        return {copy.get(), bytes};
    }

    uint64_t below(uint64_t limit) { return random_() % limit; }

  private:
    std::mt19937_64 random_;
    const Bytes& file_;
    Elf64_Ehdr header_;
    std::vector<Elf64_Shdr> sections_;
    std::vector<std::unique_ptr<uint8_t[]>> copies_;
};

TEST(FunctionIndex, SurvivesAnyChangedBytes) {
    for (uint32_t seed = 1; seed <= 300; ++seed) {
        Mutator mutator(seed);
        const auto symbols = mutator.changed(".dynsym");
        const auto names = mutator.changed(".dynstr");
        IndexInput input;
        input.tables.push_back({symbols, names, {}});
        input.tables.push_back({mutator.changed(".symtab"), mutator.changed(".strtab"), {}});
        const Elf64_Shdr* text = mutator.find(".text");
        ASSERT_NE(text, nullptr);
        const uint64_t start = mutator.below(8) == 0 ? mutator.below(UINT64_MAX) : text->sh_addr & ~0xfffULL;
        input.code.push_back({start, start + std::min(text->sh_size + mutator.below(1 << 20), ~start)});
        StubInput stubs{{}, {mutator.changed(".rela.plt"), mutator.changed(".rela.dyn")}, symbols};
        for (const char* name : {".plt", ".plt.sec", ".plt.got"}) {
            stubs.sections.push_back({mutator.changed(name), start, mutator.below(2) == 0 ? 8U : 16U});
        }
        input.stubs = plt_stubs(stubs);
        input.stub_names = names;
        const Elf64_Shdr* frames = mutator.find(".eh_frame");
        ASSERT_NE(frames, nullptr);
        input.unwind = unwind_ranges(mutator.changed(".eh_frame"), frames->sh_addr);

        const FunctionIndex index = index_functions(input);
        ASSERT_EQ(index.boundaries.size(), index.owners.size());
        ASSERT_EQ(index.addresses.size(), index.name_offsets.size());
        for (size_t i = 0; i < index.owners.size(); ++i) {
            ASSERT_LT(index.owners[i], static_cast<int32_t>(index.addresses.size()));
            if (i > 0) {
                ASSERT_LT(index.boundaries[i - 1], index.boundaries[i]);
            }
        }
        for (const uint32_t offset : index.name_offsets) {
            ASSERT_LT(offset & ~FunctionIndex::kStub, index.names.size());
        }
    }
}

TEST(UnwindRanges, AreThoseOfThisProgram) {
    Mutator whole(0);
    const Elf64_Shdr* frames = whole.find(".eh_frame");
    ASSERT_NE(frames, nullptr);
    const Bytes& bytes = own_file();
    const auto ranges = unwind_ranges({bytes.data() + frames->sh_offset, frames->sh_size}, frames->sh_addr);
    const Elf64_Shdr* text = whole.find(".text");
    EXPECT_GT(ranges.size(), 100U);
    size_t inside = 0;
    for (const AddressRange& range : ranges) {
        EXPECT_LT(range.start, range.end);
        inside += range.start >= text->sh_addr && range.end <= text->sh_addr + text->sh_size ? 1 : 0;
    }
    // The rest are in .plt, .init and the like.
    EXPECT_GT(inside, ranges.size() * 9 / 10);
}

}  // namespace
}  // namespace offheap::addon
