// A channel in ordinary memory: the header and what the wire protocols need, of any size, without a file.
#pragma once

#include <cstdint>
#include <vector>

#include "native/wire/layout.h"

namespace offheap::test {

class PlainChannel {
  public:
    // `index_bits`: 2^index_bits entries of the stack tree's index, at first; 0: as many as there are nodes.
    explicit PlainChannel(uint64_t ring_events, uint64_t nodes = 64, uint32_t index_bits = 0) {
        wire::Header header = {};
        header.ring_offset = wire::kPageBytes;
        header.ring_capacity = ring_events;
        header.ring_reserved = ring_events * sizeof(wire::Event);
        header.nodes_offset = header.ring_offset + header.ring_reserved;
        header.nodes_capacity = nodes;
        header.nodes_used = 1;
        header.index_offset = header.nodes_offset + nodes * sizeof(wire::StackNode);
        header.nodes_reserved = nodes * sizeof(wire::StackNode);
        header.index_capacity = 2 * nodes;
        header.index_bits = index_bits;
        while (index_bits == 0 && 2ULL << header.index_bits < nodes * 2) ++header.index_bits;
        header.index_reserved = 2ULL << header.index_bits;
        header.file_bytes = header.index_offset + header.index_capacity * sizeof(uint32_t);
        words_.resize(header.file_bytes / sizeof(uint64_t));
        *this->header() = header;
    }

    wire::Header* header() { return reinterpret_cast<wire::Header*>(words_.data()); }

    wire::StackNode* nodes() {
        return reinterpret_cast<wire::StackNode*>(reinterpret_cast<uint8_t*>(header()) +
                                                  header()->nodes_offset);
    }

  private:
    std::vector<uint64_t> words_;
};

}  // namespace offheap::test
