// A symbol table as a file of the cache on disk: a head that says what it is, and the table.
#pragma once

#include <stdint.h>

#include <optional>
#include <span>
#include <string>
#include <utility>

#include "native/addon/failure.h"

namespace offheap::addon {

// What the table is of; a file with another one is not the one that was asked for.
inline constexpr size_t kSymbolKeyBytes = 32;
using SymbolKey = std::span<const uint8_t, kSymbolKeyBytes>;

// One that was mapped, and whose checksum was right then. Reads of it are for bus_guard.h: it may shrink.
class SymbolFile {
  public:
    // None where there is no such file. One that is not this user's alone to write to, is of another version
    // or key, damaged or cut short is of no use to anybody, and removed.
    static std::optional<SymbolFile> open(const std::string& path, SymbolKey key);
    // Creates it. It is only safe to be found by others when this has returned.
    static MaybeFailure create(const std::string& path, SymbolKey key, std::span<const uint8_t> table);

    SymbolFile(SymbolFile&& other) noexcept
        : base_(std::exchange(other.base_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    SymbolFile& operator=(SymbolFile&&) = delete;
    ~SymbolFile();

    uint8_t* base() const { return base_; }
    size_t bytes() const { return bytes_; }
    std::span<const uint8_t> table() const;

  private:
    SymbolFile(uint8_t* base, size_t bytes) : base_(base), bytes_(bytes) {}

    uint8_t* base_;
    size_t bytes_;
};

}  // namespace offheap::addon
