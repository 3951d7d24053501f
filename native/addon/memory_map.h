// A process's mappings, asked of the kernel one by one (PROCMAP_QUERY, Linux 6.11).
#pragma once

#include <stdint.h>

#include <string>
#include <vector>

namespace offheap::addon {

struct MappedRange {
    uint64_t start = 0, end = 0;
    uint64_t offset = 0, inode = 0;
    uint32_t device_major = 0, device_minor = 0;
    uint32_t permissions = 0;  // kReadable and so on
    uint32_t page_bytes = 0;   // 4096, or of the huge pages that back it
    uint32_t name = 0;         // position in MemoryMap::names
};

inline constexpr uint32_t kReadable = 1, kWritable = 2, kExecutable = 4, kShared = 8;

struct MemoryMap {
    std::vector<MappedRange> ranges;  // by address
    // As /proc/PID/maps shows them, " (deleted)" included, line feeds as they are. The first one is empty.
    std::vector<std::string> names;
};

enum class MapReading { kComplete, kUnsupported, kFailed };

// Reads all mappings of a process. kFailed: errno says why. The process runs on: what it maps meanwhile may
// be missing.
MapReading read_memory_map(int process_id, MemoryMap& map);

}  // namespace offheap::addon
