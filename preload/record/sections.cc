#include "preload/record/sections.h"

#include "native/wire/heap.h"
#include "native/wire/stack_tree.h"

namespace offheap::record {

namespace {

constexpr uint64_t kSites = 256;
constexpr uint32_t kIndexFirstBits = 14;
// Names of files, and of Python's functions: an interpreter has tens of thousands.
constexpr uint64_t kTextBytes = 8u << 20;
constexpr uint64_t kLeastTextBytes = 1u << 20;
// What is live in a process that nobody collects.
constexpr uint64_t kBacklogEvents = 1u << 18;
constexpr uint64_t kLaneBytes = sizeof(wire::Lane) + wire::kWindowBytes;
// With less of them, threads would hold all that there is.
constexpr uint64_t kLeastChunks = 16;
constexpr uint64_t kLeastLanes = 16;

// Half as many, again and again, until they fit; but not fewer than `least`.
uint64_t fitting(uint64_t entries, uint64_t least, uint64_t entry_bytes, uint64_t room_bytes) {
    while (entries > least && entries * entry_bytes > room_bytes) {
        entries = entries / 2 > least ? entries / 2 : least;
    }
    return entries;
}

// Sections one behind the other, each on pages of its own.
class Placement {
  public:
    uint64_t place(uint64_t bytes) {
        const uint64_t offset = end_;
        end_ += (bytes + wire::kPageBytes - 1) / wire::kPageBytes * wire::kPageBytes;
        return offset;
    }
    uint64_t end() const { return end_; }

  private:
    uint64_t end_ = wire::kPageBytes;  // behind the header and the bits of free chunks
};

}  // namespace

wire::Header lay_out_sections(uint64_t ring_events, uint64_t heap_chunks, uint64_t room_bytes) {
    wire::Header layout = {};
    layout.sites_capacity = kSites;
    layout.text_capacity = fitting(kTextBytes, kLeastTextBytes, 1, room_bytes / 4);
    layout.ring_capacity = fitting(ring_events, 64, sizeof(wire::Event), room_bytes / 3);
    layout.nodes_capacity = fitting(wire::kMostNodes, 1024, sizeof(wire::StackNode), room_bytes / 4);
    layout.index_capacity = layout.nodes_capacity * 2;  // the last era has an entry for each
    layout.index_bits = kIndexFirstBits;
    while (2ULL << layout.index_bits > layout.index_capacity) --layout.index_bits;
    layout.backlog_capacity = fitting(kBacklogEvents, 1024, sizeof(wire::Event), room_bytes / 3);

    const uint64_t most_chunks = heap_chunks < wire::kMostChunks ? heap_chunks : wire::kMostChunks;
    const uint64_t chunks = fitting(most_chunks, kLeastChunks, wire::kChunkBytes, room_bytes / 4);
    const uint64_t lanes = fitting(kMostLanes, kLeastLanes, kLaneBytes, room_bytes / 4);
    if (chunks * wire::kChunkBytes <= room_bytes / 4 && lanes * kLaneBytes <= room_bytes / 4) {
        layout.chunks_capacity = chunks;
        layout.lanes_capacity = lanes;
    }

    Placement file;
    layout.sites_offset = file.place(kSites * sizeof(wire::Site));
    layout.text_offset = file.place(layout.text_capacity);
    layout.ring_offset = file.place(layout.ring_capacity * sizeof(wire::Event));
    layout.index_offset = file.place(layout.index_capacity * sizeof(uint32_t));
    layout.nodes_offset = file.place(layout.nodes_capacity * sizeof(wire::StackNode));
    layout.backlog_offset = file.place(layout.backlog_capacity * sizeof(wire::Event));
    layout.lanes_offset = file.place(layout.lanes_capacity * sizeof(wire::Lane));
    layout.windows_offset = file.place(layout.lanes_capacity * wire::kWindowBytes);
    layout.chunks_offset = file.place(layout.chunks_capacity * wire::kChunkBytes);
    layout.file_bytes = file.end();
    return layout;
}

}  // namespace offheap::record
