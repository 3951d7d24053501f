#include "native/addon/memory_map.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <string_view>

namespace offheap::addon {
namespace {

// The kernel's interface (linux/fs.h, from 6.11 on), declared here because build machines have older headers.
struct MapQuery {
    uint64_t size, flags, address;
    uint64_t start, end, permissions, page_bytes, offset, inode;
    uint32_t device_major, device_minor;
    uint32_t name_bytes, build_id_bytes;
    uint64_t name_address, build_id_address;
};
static_assert(sizeof(MapQuery) == 104);
constexpr uint64_t kCoveringOrNext = 0x10;
constexpr unsigned long kQuery = _IOWR('f', 17, MapQuery);

uint32_t name_position(MemoryMap& map, std::string_view name) {
    if (name.empty()) return 0;
    // Neighbours share their file: the last names are enough to look through.
    for (size_t i = map.names.size(), tries = 0; i > 1 && tries < 4; --i, ++tries) {
        if (map.names[i - 1] == name) return static_cast<uint32_t>(i - 1);
    }
    map.names.emplace_back(name);
    return static_cast<uint32_t>(map.names.size() - 1);
}

}  // namespace

MapReading read_memory_map(int process_id, MemoryMap& map) {
    char text[64];
    snprintf(text, sizeof text, "/proc/%d/maps", process_id);
    const int file = open(text, O_RDONLY | O_CLOEXEC);
    if (file < 0) return MapReading::kFailed;

    map.ranges.clear();
    map.names.assign(1, "");
    char name[PATH_MAX];
    MapQuery query = {};
    query.size = sizeof query;
    query.flags = kCoveringOrNext;
    MapReading reading = MapReading::kComplete;
    for (;;) {
        query.name_address = reinterpret_cast<uint64_t>(name);
        query.name_bytes = sizeof name;
        if (ioctl(file, kQuery, &query) != 0) {
            if (errno == EINTR || errno == EAGAIN) continue;
            // ENOENT: no mapping at or behind the address. ESRCH: the process has ended, and has none any
            // more.
            if (errno == ENOENT || errno == ESRCH) break;
            reading = errno == ENOTTY || errno == EINVAL ? MapReading::kUnsupported : MapReading::kFailed;
            break;
        }
        MappedRange& range = map.ranges.emplace_back();
        range.start = query.start;
        range.end = query.end;
        range.offset = query.offset;
        range.inode = query.inode;
        range.device_major = query.device_major;
        range.device_minor = query.device_minor;
        range.permissions = static_cast<uint32_t>(query.permissions);
        range.page_bytes = static_cast<uint32_t>(query.page_bytes);
        // The size counts the terminating NUL.
        range.name = query.name_bytes == 0 ? 0 : name_position(map, {name, query.name_bytes - 1});
        query.address = query.end;
    }
    const int error = errno;
    close(file);
    errno = error;
    return reading;
}

}  // namespace offheap::addon
