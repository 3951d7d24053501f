#include "native/addon/function_index.h"

#include <elf.h>
#include <string.h>

#include <algorithm>
#include <string_view>

namespace offheap::addon {
namespace {

// More belong to no real file, and would be searched for each symbol.
constexpr size_t kMostSegments = 64;
constexpr size_t kLongestName = 16384;
constexpr size_t kMostNameBytes = size_t{1} << 30;
constexpr uint64_t kMostSpan = UINT32_MAX;
constexpr size_t kLongestCompared = 1024;

struct Named {
    uint64_t address;
    uint64_t end;    // `address` for a symbol without a size
    uint64_t limit;  // how far it may reach
    uint32_t name;   // in the names of its table
    uint16_t table;  // kStubTable: the names of stubs
    uint16_t rank;
};

constexpr uint16_t kStubTable = UINT16_MAX;

struct Function {
    uint64_t address;
    uint64_t end;
    uint64_t limit;
    uint32_t name;
};

std::string_view name_at(std::span<const uint8_t> names, uint32_t offset) {
    const char* start = reinterpret_cast<const char*>(names.data()) + offset;
    std::string_view name(start, strnlen(start, std::min(names.size() - offset, kLongestName)));
    // The linker writes versions into full tables: memcpy@@GLIBC_2.14.
    const size_t version = name.find('@', 1);
    return version == std::string_view::npos ? name : name.substr(0, version);
}

class Indexer {
  public:
    explicit Indexer(const IndexInput& input) : input_(input) {
        code_.assign(input.code.begin(), input.code.begin() + std::min(input.code.size(), kMostSegments));
        base_ = UINT64_MAX;
        for (const AddressRange& segment : code_) base_ = std::min(base_, segment.start);
    }

    FunctionIndex build() {
        index_.base = code_.empty() ? 0 : base_;
        size_t most = input_.stubs.size();
        for (const SymbolInput& table : input_.tables) most += table.symbols.size() / sizeof(Elf64_Sym);
        named_.reserve(most);
        for (size_t i = 0; i < std::min<size_t>(input_.tables.size(), kStubTable); ++i) collect(i);
        for (const Stub& stub : input_.stubs) collect(stub);
        std::sort(named_.begin(), named_.end(),
                  [](const Named& a, const Named& b) { return a.address < b.address; });
        join(known_ranges());
        lay_out();
        return std::move(index_);
    }

  private:
    // How far code at `address` may reach, or null where no code is.
    const AddressRange* segment_of(uint64_t address) const {
        for (const AddressRange& segment : code_) {
            if (address >= segment.start && address < segment.end && address - base_ < kMostSpan) {
                return &segment;
            }
        }
        return nullptr;
    }

    std::string_view name_of(const Named& named) const {
        return name_at(named.table == kStubTable ? input_.stub_names : input_.tables[named.table].names,
                       named.name);
    }

    // Which of two names of one address people know: one with a size rather than a mere label, a visible one
    // rather than a local one, then the one with fewer leading underscores (mmap, not __mmap), the shorter
    // (mmap, not mmap64), the first.
    bool is_better(const Named& one, const Named& other) const {
        if (one.rank != other.rank) return one.rank > other.rank;
        if (one.table == other.table && one.name == other.name) return false;
        const std::string_view name = name_of(one);
        const std::string_view other_name = name_of(other);
        const size_t underscores = std::min(name.find_first_not_of('_'), kLongestCompared);
        const size_t other_underscores = std::min(other_name.find_first_not_of('_'), kLongestCompared);
        if (underscores != other_underscores) return underscores < other_underscores;
        if (name.size() != other_name.size()) return name.size() < other_name.size();
        return name.substr(0, kLongestCompared) < other_name.substr(0, kLongestCompared);
    }

    void collect(size_t position) {
        const SymbolInput& table = input_.tables[position];
        const size_t count = table.symbols.size() / sizeof(Elf64_Sym);
        for (size_t i = 0; i < count; ++i) {
            Elf64_Sym symbol;
            memcpy(&symbol, table.symbols.data() + i * sizeof symbol, sizeof symbol);
            const int type = ELF64_ST_TYPE(symbol.st_info);
            if ((type != STT_FUNC && type != STT_GNU_IFUNC) || symbol.st_shndx == SHN_UNDEF) continue;
            if (symbol.st_name >= table.names.size()) continue;
            const AddressRange* segment = segment_of(symbol.st_value);
            if (segment == nullptr) continue;
            uint64_t limit = segment->end;
            if (symbol.st_shndx < table.sections.size()) {
                const AddressRange& section = table.sections[symbol.st_shndx];
                if (symbol.st_value >= section.start && symbol.st_value < section.end) limit = section.end;
            }
            if (table.names[symbol.st_name] == 0) continue;
            const uint64_t end = symbol.st_value + std::min(symbol.st_size, limit - symbol.st_value);
            const int rank =
                (symbol.st_size != 0 ? 2 : 0) + (ELF64_ST_BIND(symbol.st_info) != STB_LOCAL ? 1 : 0);
            named_.push_back({symbol.st_value, end, limit, symbol.st_name, static_cast<uint16_t>(position),
                              static_cast<uint16_t>(rank)});
        }
    }

    void collect(const Stub& stub) {
        const AddressRange* segment = segment_of(stub.range.start);
        if (segment == nullptr || stub.name >= input_.stub_names.size()) return;
        const uint64_t end = std::min(stub.range.end, segment->end);
        if (input_.stub_names[stub.name] == 0 || end <= stub.range.start) return;
        // A symbol of the same address knows better.
        named_.push_back({stub.range.start, end, end, stub.name, kStubTable, 0});
    }

    std::vector<AddressRange> known_ranges() const {
        std::vector<AddressRange> ranges;
        for (const AddressRange& range : input_.unwind) {
            const AddressRange* segment = segment_of(range.start);
            if (segment != nullptr) ranges.push_back({range.start, std::min(range.end, segment->end)});
        }
        const auto is_before = [](const AddressRange& a, const AddressRange& b) { return a.start < b.start; };
        if (!std::is_sorted(ranges.begin(), ranges.end(), is_before)) {
            std::sort(ranges.begin(), ranges.end(), is_before);
        }
        return ranges;
    }

    // One function for each address, those without a name between those that have one.
    void join(const std::vector<AddressRange>& ranges) {
        functions_.reserve(named_.size() + ranges.size());
        index_.names.reserve(1 + 32 * named_.size());
        index_.names.push_back(0);
        size_t next = 0;            // of `ranges`
        AddressRange around{0, 0};  // the latest of them
        uint64_t named_until = 0;   // the furthest end of a function with a size
        const auto add_unnamed_before = [&](uint64_t address) {
            for (; next < ranges.size() && ranges[next].start < address; ++next) {
                around = ranges[next];
                // A part of a function with a name, such as one that was put elsewhere, is not another one.
                if (around.start >= named_until) add({around.start, around.end, around.end, 0});
            }
        };
        for (size_t i = 0; i < named_.size();) {
            const uint64_t address = named_[i].address;
            Named best = named_[i];
            uint64_t end = best.end;
            for (++i; i < named_.size() && named_[i].address == address; ++i) {
                end = std::max(end, named_[i].end);
                if (is_better(named_[i], best)) best = named_[i];
            }
            add_unnamed_before(address);
            if (next < ranges.size() && ranges[next].start == address) around = ranges[next++];
            const bool is_inside_named = named_until > address;
            if (end == address && address < around.end && !is_inside_named) {
                end = std::min(around.end, best.limit);
            }
            if (!add({address, end, best.limit, 0})) return;
            functions_.back().name = keep(best);
            named_until = std::max(named_until, end);
        }
        add_unnamed_before(UINT64_MAX);
    }

    bool add(const Function& function) {
        if (functions_.size() >= INT32_MAX) return false;
        functions_.push_back(function);
        return true;
    }

    uint32_t keep(const Named& named) {
        const std::string_view name = name_of(named);
        const size_t offset = index_.names.size();
        if (offset + name.size() + 1 > kMostNameBytes) return 0;
        index_.names.resize(offset + name.size() + 1);
        memcpy(index_.names.data() + offset, name.data(), name.size());
        index_.named++;
        return static_cast<uint32_t>(offset) | (named.table == kStubTable ? FunctionIndex::kStub : 0);
    }

    // One sweep by rising address over functions that may lie within one another.
    void lay_out() {
        index_.boundaries.reserve(2 * functions_.size());
        index_.owners.reserve(2 * functions_.size());
        index_.addresses.reserve(functions_.size());
        index_.name_offsets.reserve(functions_.size());
        // Positions of the functions that hold the present address; the innermost last.
        std::vector<int32_t> open;
        const auto close_up_to = [&](uint64_t address) {
            while (!open.empty() && functions_[open.back()].end <= address) {
                const uint64_t end = functions_[open.back()].end;
                open.pop_back();
                while (!open.empty() && functions_[open.back()].end <= end) open.pop_back();
                set(end, open.empty() ? -1 : open.back());
            }
        };
        for (size_t i = 0; i < functions_.size(); ++i) {
            Function& function = functions_[i];
            close_up_to(function.address);
            if (function.end <= function.address && open.empty()) {
                const uint64_t next = i + 1 < functions_.size() ? functions_[i + 1].address : function.limit;
                function.end = std::min(function.limit, next);
            }
            if (function.end > function.address) {
                open.push_back(static_cast<int32_t>(i));
                set(function.address, open.back());
            }
            index_.addresses.push_back(static_cast<uint32_t>(function.address - base_));
            index_.name_offsets.push_back(function.name);
        }
        close_up_to(UINT64_MAX);
    }

    void set(uint64_t address, int32_t owner) {
        const uint64_t distance = std::min(address - base_, kMostSpan);
        const auto boundary = static_cast<uint32_t>(distance);
        if (!index_.boundaries.empty() && index_.boundaries.back() == boundary) {
            index_.owners.back() = owner;
            return;
        }
        index_.boundaries.push_back(boundary);
        index_.owners.push_back(owner);
    }

    const IndexInput& input_;
    std::vector<AddressRange> code_;
    uint64_t base_;
    std::vector<Named> named_;
    std::vector<Function> functions_;
    FunctionIndex index_;
};

}  // namespace

FunctionIndex index_functions(const IndexInput& input) { return Indexer(input).build(); }

}  // namespace offheap::addon
