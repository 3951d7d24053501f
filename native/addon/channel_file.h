// A channel file as its reader sees it: opened, checked once, then read by pread() into private memory.
//
// The other end is hostile: any byte may change and the file may shrink at any moment. So offsets and
// capacities are checked against the file's size and copied at the start, never read again; and data is never
// touched through a mapping, where a shrunken file raises SIGBUS (pread() gives a short read instead).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <string>

#include "native/addon/failure.h"
#include "native/wire/layout.h"

namespace offheap::addon {

// An array inside the file; `capacity` counts entries.
struct Section {
    uint64_t offset_bytes = 0;
    uint64_t capacity = 0;
};

class ChannelFile {
  public:
    ChannelFile() = default;
    ChannelFile(const ChannelFile&) = delete;
    ChannelFile& operator=(const ChannelFile&) = delete;
    ~ChannelFile() { close(); }

    [[nodiscard]] MaybeFailure open(const std::string& path);
    void close();
    bool is_open() const { return file_ >= 0; }
    int descriptor() const { return file_; }

    [[nodiscard]] MaybeFailure read(uint64_t offset_bytes, void* target, size_t bytes) const;
    [[nodiscard]] MaybeFailure read_header(wire::Header& header) const;
    // For what only collectors read: no thread of the target heeds whether it arrives whole.
    [[nodiscard]] MaybeFailure write(uint64_t offset_bytes, const void* source, size_t bytes) const;

    const Section& ring() const { return ring_; }
    const Section& nodes() const { return nodes_; }
    const Section& text() const { return text_; }
    const Section& sites() const { return sites_; }
    const Section& backlog() const { return backlog_; }
    // Of the heap; all empty where the channel has no room for it.
    const Section& lanes() const { return lanes_; }
    const Section& windows() const { return windows_; }
    const Section& chunks() const { return chunks_; }

  private:
    [[nodiscard]] MaybeFailure check_owner() const;
    [[nodiscard]] MaybeFailure check_header(const wire::Header& header);

    int file_ = -1;
    uint64_t file_bytes_ = 0;
    Section ring_, nodes_, text_, sites_, backlog_, lanes_, windows_, chunks_;
};

}  // namespace offheap::addon
