// Bits of an entry of /proc/PID/pagemap (Linux, Documentation/admin-guide/mm/pagemap.rst).
#pragma once

#include <stdint.h>

namespace offheap::addon {

inline constexpr uint64_t kPageBytes = 4096;
inline constexpr uint64_t kEntryPresent = 1ULL << 63;
inline constexpr uint64_t kEntrySwapped = 1ULL << 62;
inline constexpr uint64_t kEntryFile = 1ULL << 61;
inline constexpr uint64_t kEntryGuard = 1ULL << 58;
inline constexpr uint64_t kEntryFrame = (1ULL << 55) - 1;

}  // namespace offheap::addon
