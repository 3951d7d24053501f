// In which folder the code at an address was compiled. Names of files may be relative to it, and libbacktrace
// gives them as they are.
#pragma once

#include <stdint.h>

#include <string_view>
#include <vector>

#include "native/lines/sections.h"

namespace offheap::lines {

class UnitFolders {
  public:
    // Reads the first entry of each unit. Texts lie in the sections.
    explicit UnitFolders(const Sections& sections);

    // Empty where unknown.
    std::string_view folder_of(uint64_t file_address) const;

  private:
    struct Range {
        uint64_t low;
        uint64_t high;
        // The highest end of the ranges up to here: how far back a search must go.
        uint64_t highest;
        std::string_view folder;
    };

    // By address.
    std::vector<Range> ranges_;
};

}  // namespace offheap::lines
