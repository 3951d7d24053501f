#include "native/addon/symbol_table.h"

#include <string.h>

#include <algorithm>

namespace offheap::addon {
namespace {

struct Head {
    uint32_t base_low, base_high, functions, boundaries, name_bytes, named, full, debug_link;
};

template <typename T>
uint8_t* put(uint8_t* at, const std::vector<T>& values) {
    if (!values.empty()) memcpy(at, values.data(), values.size() * sizeof(T));
    return at + values.size() * sizeof(T);
}

}  // namespace

std::optional<SymbolTable> SymbolTable::over(std::span<const uint8_t> bytes) {
    Head head;
    if (bytes.size() < sizeof head) return {};
    memcpy(&head, bytes.data(), sizeof head);
    const uint64_t words = 2 * uint64_t{head.boundaries} + 2 * uint64_t{head.functions};
    if (sizeof head + 4 * words + head.name_bytes != bytes.size() || head.functions > INT32_MAX) return {};
    SymbolTable table;
    table.base_ = head.base_low | uint64_t{head.base_high} << 32;
    table.functions_ = head.functions;
    table.boundary_count_ = head.boundaries;
    table.name_bytes_ = head.name_bytes;
    table.named_ = head.named;
    table.full_ = head.full != 0;
    table.debug_link_ = head.debug_link;
    table.boundaries_ = reinterpret_cast<const uint32_t*>(bytes.data() + sizeof head);
    table.owners_ = reinterpret_cast<const int32_t*>(table.boundaries_ + head.boundaries);
    table.addresses_ = reinterpret_cast<const uint32_t*>(table.owners_ + head.boundaries);
    table.name_offsets_ = table.addresses_ + head.functions;
    table.names_ = reinterpret_cast<const char*>(table.name_offsets_ + head.functions);
    return table;
}

int32_t SymbolTable::index_at(double address) const {
    const double relative = address - static_cast<double>(base_);
    // Written so that NaN fails the test.
    if (!(relative >= 0 && relative < 0x1p32)) return -1;
    const uint32_t* end = boundaries_ + boundary_count_;
    const uint32_t* after = std::upper_bound(boundaries_, end, static_cast<uint32_t>(relative));
    if (after == boundaries_) return -1;
    const int32_t owner = owners_[after - boundaries_ - 1];
    return owner >= 0 && static_cast<uint32_t>(owner) < functions_ ? owner : -1;
}

uint64_t SymbolTable::address_of(uint32_t index) const {
    return index < functions_ ? base_ + addresses_[index] : 0;
}

std::string_view SymbolTable::name_of(uint32_t index) const {
    if (index >= functions_) return {};
    return text_at(name_offsets_[index] & ~FunctionIndex::kStub);
}

std::string_view SymbolTable::text_at(uint32_t offset) const {
    if (offset == 0 || offset >= name_bytes_) return {};
    return {names_ + offset, strnlen(names_ + offset, std::min<size_t>(name_bytes_ - offset, kLongestName))};
}

bool SymbolTable::is_stub(uint32_t index) const {
    return index < functions_ && (name_offsets_[index] & FunctionIndex::kStub) != 0;
}

size_t symbol_table_size(const FunctionIndex& index) {
    return sizeof(Head) + 8 * index.boundaries.size() + 8 * index.addresses.size() + index.names.size();
}

void lay_out_symbol_table(const FunctionIndex& index, uint8_t* bytes) {
    const Head head = {static_cast<uint32_t>(index.base),
                       static_cast<uint32_t>(index.base >> 32),
                       static_cast<uint32_t>(index.addresses.size()),
                       static_cast<uint32_t>(index.boundaries.size()),
                       static_cast<uint32_t>(index.names.size()),
                       index.named,
                       index.full ? 1u : 0u,
                       index.debug_link};
    memcpy(bytes, &head, sizeof head);
    uint8_t* at = put(bytes + sizeof head, index.boundaries);
    at = put(at, index.owners);
    at = put(at, index.addresses);
    at = put(at, index.name_offsets);
    put(at, index.names);
}

}  // namespace offheap::addon
