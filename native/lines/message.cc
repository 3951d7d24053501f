#include "native/lines/message.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

namespace offheap::lines {
namespace {

bool read_whole(int descriptor, uint8_t* into, size_t bytes) {
    while (bytes > 0) {
        const ssize_t count = read(descriptor, into, bytes);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        into += count;
        bytes -= static_cast<size_t>(count);
    }
    return true;
}

bool write_whole(int descriptor, const uint8_t* from, size_t bytes) {
    while (bytes > 0) {
        const ssize_t count = write(descriptor, from, bytes);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        from += count;
        bytes -= static_cast<size_t>(count);
    }
    return true;
}

}  // namespace

bool read_message(int descriptor, std::vector<uint8_t>& message) {
    uint32_t bytes = 0;
    if (!read_whole(descriptor, reinterpret_cast<uint8_t*>(&bytes), sizeof bytes)) return false;
    if (bytes > kLongestRequestBytes) return false;
    message.resize(bytes);
    return read_whole(descriptor, message.data(), bytes);
}

bool write_message(int descriptor, const std::vector<uint8_t>& message) {
    const auto bytes = static_cast<uint32_t>(message.size());
    return write_whole(descriptor, reinterpret_cast<const uint8_t*>(&bytes), sizeof bytes) &&
           write_whole(descriptor, message.data(), message.size());
}

template <typename Number>
Number MessageReader::number() {
    Number value = 0;
    if (bytes_left() < sizeof value) {
        complete_ = false;
        at_ = end_;
        return 0;
    }
    memcpy(&value, at_, sizeof value);
    at_ += sizeof value;
    return value;
}

template uint32_t MessageReader::number<uint32_t>();
template uint64_t MessageReader::number<uint64_t>();

std::string MessageReader::text() {
    const uint32_t bytes = u32();
    if (bytes > bytes_left()) {
        complete_ = false;
        at_ = end_;
        return {};
    }
    std::string value(reinterpret_cast<const char*>(at_), bytes);
    at_ += bytes;
    return value;
}

void MessageWriter::text(std::string_view value) {
    u32(static_cast<uint32_t>(value.size()));
    raw(value.data(), value.size());
}

void MessageWriter::raw(const void* from, size_t count) {
    const auto* bytes = static_cast<const uint8_t*>(from);
    bytes_.insert(bytes_.end(), bytes, bytes + count);
}

}  // namespace offheap::lines
