// The debug sections of an ELF file, uncompressed where they are compressed by zlib. The file is anybody's:
// what makes no sense reads as empty.
#pragma once

#include <stdint.h>

#include <span>
#include <string_view>

struct backtrace_state;

namespace offheap::lines {

using Bytes = std::span<const uint8_t>;

// The file, mapped as long as this lives.
class Sections {
  public:
    // `state` takes what is uncompressed; it never gives it back.
    Sections(int descriptor, backtrace_state* state);
    ~Sections();
    Sections(const Sections&) = delete;
    Sections& operator=(const Sections&) = delete;

    // ".debug_info" and the like.
    Bytes find(std::string_view name) const;

  private:
    Bytes uncompressed(Bytes content) const;

    backtrace_state* state_;
    Bytes file_;
};

}  // namespace offheap::lines
