#include "native/addon/channel_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/wire/heap.h"

namespace offheap::addon {
namespace {

std::string hex(uint64_t value) {
    char text[17];
    snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
    return text;
}

// Version text of the other end, for a message: cut at the first byte that isn't plain.
std::string version_text(const wire::Header& header) {
    char bytes[17] = {};
    memcpy(bytes, &header.version0, 8);
    memcpy(bytes + 8, &header.version1, 8);
    size_t length = 0;
    while (bytes[length] > ' ' && bytes[length] < 0x7f) ++length;
    return length == 0 ? "of unknown version" : std::string(bytes, length);
}

bool is_power_of_two(uint64_t value) { return value != 0 && (value & (value - 1)) == 0; }

// Ring positions are JavaScript numbers.
constexpr uint64_t kPositionLimit = 1ULL << 53;

}  // namespace

MaybeFailure ChannelFile::open(const std::string& path) {
    close();
    // NOFOLLOW and NONBLOCK: neither a planted link nor a planted pipe may lead or hold us.
    file_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file_ < 0) {
        if (errno == ENOENT) return Failure{kChannelMissing, "there is no channel " + path};
        if (errno == EACCES || errno == EPERM || errno == ELOOP) {
            return Failure{kChannelRefused, "channel " + path + " can't be opened: " + strerror(errno)};
        }
        return damaged("channel " + path + " can't be opened: " + strerror(errno));
    }
    MaybeFailure failure = check_owner();
    struct stat status;
    // Its creator has opened it and not given it its size yet.
    if (!failure && fstat(file_, &status) == 0 && status.st_size == 0) {
        failure = Failure{kChannelStarting, "the channel is still empty; try again"};
    }
    wire::Header header;
    if (!failure) failure = read_header(header);
    if (!failure) failure = check_header(header);
    if (failure) {
        failure->message += " (" + path + ")";
        close();
    }
    return failure;
}

void ChannelFile::close() {
    if (file_ >= 0) ::close(file_);
    file_ = -1;
}

MaybeFailure ChannelFile::check_owner() const {
    struct stat status;
    if (fstat(file_, &status) != 0) return damaged("the channel can't be examined");
    if (!S_ISREG(status.st_mode)) return Failure{kChannelRefused, "the channel is not a regular file"};
    const uid_t user = geteuid();
    if (user != 0 && status.st_uid != user) {
        return Failure{kChannelRefused, "the channel belongs to user " + std::to_string(status.st_uid) +
                                            ", not to you; ask that user or root to collect it"};
    }
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return Failure{kChannelRefused, "the channel can be written by other users; it is not trusted"};
    }
    return {};
}

MaybeFailure ChannelFile::read(uint64_t offset_bytes, void* target, size_t bytes) const {
    auto* out = static_cast<uint8_t*>(target);
    while (bytes > 0) {
        const ssize_t got = pread(file_, out, bytes, static_cast<off_t>(offset_bytes));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return damaged("the channel was truncated: it ends before its data does");
        out += got;
        offset_bytes += static_cast<uint64_t>(got);
        bytes -= static_cast<size_t>(got);
    }
    return {};
}

MaybeFailure ChannelFile::write(uint64_t offset_bytes, const void* source, size_t bytes) const {
    ssize_t put;
    do {
        put = pwrite(file_, source, bytes, static_cast<off_t>(offset_bytes));
    } while (put < 0 && errno == EINTR);
    if (put != static_cast<ssize_t>(bytes)) return damaged("the channel can't be written");
    return {};
}

MaybeFailure ChannelFile::read_header(wire::Header& header) const { return read(0, &header, sizeof header); }

MaybeFailure ChannelFile::check_header(const wire::Header& header) {
    if (header.magic == 0) return Failure{kChannelStarting, "the channel has no header yet; try again"};
    if (header.magic != wire::kMagic) return damaged("the file is not a channel: wrong magic number");
    if (header.layout_hash != wire::layout_hash()) {
        return Failure{kChannelVersion, "channel was written by offheap " + version_text(header) +
                                            " (layout " + hex(header.layout_hash) + "), this is " +
                                            wire::kVersion + " (layout " + hex(wire::layout_hash()) +
                                            "); use the shim of the same version"};
    }
    struct stat status;
    if (fstat(file_, &status) != 0) return damaged("the channel can't be examined");
    file_bytes_ = static_cast<uint64_t>(status.st_size);
    if (header.file_bytes > file_bytes_) {
        return damaged("the channel was truncated to " + std::to_string(file_bytes_) + " bytes");
    }

    // Lanes without chunks are of no use, nor the other way round.
    const bool heap = header.lanes_capacity != 0 && header.chunks_capacity != 0;
    const uint64_t lanes = heap ? header.lanes_capacity : 0, chunks = heap ? header.chunks_capacity : 0;

    struct Bounds {
        const char* name;
        Section* section;
        uint64_t offset_bytes, capacity, entry_bytes, limit;
    };
    const Bounds all[] = {
        {"ring", &ring_, header.ring_offset, header.ring_capacity, sizeof(wire::Event), 1ULL << 28},
        {"nodes", &nodes_, header.nodes_offset, header.nodes_capacity, sizeof(wire::StackNode), 1ULL << 32},
        {"text", &text_, header.text_offset, header.text_capacity, 1, 1ULL << 32},
        {"sites", &sites_, header.sites_offset, header.sites_capacity, sizeof(wire::Site), 1ULL << 24},
        {"backlog", &backlog_, header.backlog_offset, header.backlog_capacity, sizeof(wire::Event),
         1ULL << 28},
        {"lanes", &lanes_, header.lanes_offset, lanes, sizeof(wire::Lane), 1ULL << 20},
        {"windows", &windows_, header.windows_offset, lanes, wire::kWindowBytes, 1ULL << 20},
        {"chunks", &chunks_, header.chunks_offset, chunks, wire::kChunkBytes, wire::kMostChunks},
    };
    for (const Bounds& bounds : all) {
        if (bounds.capacity == 0) continue;  // nothing to hold, nowhere
        // In this order no sum or product can wrap: each term is bounded before it is used.
        if (bounds.capacity > bounds.limit || bounds.offset_bytes > file_bytes_ ||
            bounds.offset_bytes < sizeof(wire::Header) || bounds.offset_bytes % 8 != 0 ||
            bounds.capacity * bounds.entry_bytes > file_bytes_ - bounds.offset_bytes) {
            return damaged(std::string("the channel's header is damaged: its ") + bounds.name +
                           " section lies outside of the file");
        }
        *bounds.section = {bounds.offset_bytes, bounds.capacity};
    }
    if (!is_power_of_two(ring_.capacity)) return damaged("the channel's header is damaged: ring capacity");
    if (header.ring_head > kPositionLimit || header.ring_tail > header.ring_head ||
        header.ring_head - header.ring_tail > ring_.capacity) {
        return damaged("the channel's header is damaged: ring positions");
    }
    return {};
}

}  // namespace offheap::addon
