// Writes heap events into a channel file as native/wire/heap.h asks it of a target, and nothing else.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "native/wire/heap.h"

namespace offheap::stress {

struct HeapChannelSize {
    uint64_t lanes = 16;
    uint64_t chunks = 256;
    wire::Clock clock = wire::Clock::kMonotonicNs;
};

// Null where the file can't be made.
inline wire::Header* create_heap_channel(const char* path, const HeapChannelSize& size) {
    using namespace wire;
    const uint64_t ring = kPageBytes, ring_events = 16, nodes = ring + ring_events * sizeof(Event);
    const uint64_t most_nodes = 1 << 20, index = nodes + most_nodes * sizeof(StackNode);
    const uint64_t lanes = (index + kPageBytes - 1) / kPageBytes * kPageBytes;
    const uint64_t lane_bytes = (size.lanes * sizeof(Lane) + kPageBytes - 1) / kPageBytes * kPageBytes;
    const uint64_t windows = lanes + lane_bytes, chunks = windows + size.lanes * kWindowBytes;
    const uint64_t end = chunks + size.chunks * kChunkBytes;
    const int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, static_cast<off_t>(end)) != 0) return nullptr;
    void* base = mmap(nullptr, end, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (base == MAP_FAILED) return nullptr;
    auto* header = static_cast<Header*>(base);
    header->layout_hash = layout_hash();
    memcpy(&header->version0, kVersion, sizeof kVersion - 1);
    header->channel_id = header->process_id = static_cast<uint32_t>(getpid());
    header->state = static_cast<uint32_t>(ProcessState::kRunning);
    header->clock = static_cast<uint32_t>(size.clock);
    header->file_bytes = end;
    header->ring_offset = ring, header->ring_capacity = ring_events;
    header->ring_reserved = ring_events * sizeof(Event);
    header->nodes_offset = nodes, header->nodes_capacity = most_nodes, header->nodes_used = 1;
    header->index_offset = header->text_offset = header->sites_offset = index;
    header->lanes_offset = lanes, header->lanes_capacity = size.lanes;
    header->windows_offset = windows;
    header->chunks_offset = chunks, header->chunks_capacity = size.chunks;
    header->heap_control = pack({HeapMode::kExact, 0, 524288});
    for (uint32_t chunk = 0; chunk < size.chunks; ++chunk) give_chunk_back(header, chunk);
    __atomic_store_n(&header->magic, kMagic, __ATOMIC_RELEASE);
    return header;
}

inline void remove_heap_channel(wire::Header* header) { munmap(header, header->file_bytes); }

// One lane. Waits for ever where there is no chunk.
class HeapLaneWriter {
  public:
    HeapLaneWriter(wire::Header* header, uint32_t number, uint32_t thread_id)
        : header_(header), number_(number), lane_(wire::lane_at(header, number)) {
        lane_->thread_id = thread_id;
        __atomic_store_n(&lane_->in_use, 1, __ATOMIC_RELEASE);
        uint64_t used = __atomic_load_n(&header->lanes_used, __ATOMIC_RELAXED);
        while (used <= number && !__atomic_compare_exchange_n(&header->lanes_used, &used, number + 1, false,
                                                              __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
        }
    }

    void publish(wire::HeapEventKind kind, uint64_t address, uint64_t time, uint64_t bytes = 0,
                 uint32_t stack = 0, uint32_t sampled_every = 0) {
        put({wire::heap_word(kind, address), time, bytes, stack, sampled_every});
    }

    void put(const wire::HeapEvent& event) {
        if (place_ == wire::kChunkEvents) go_on();
        wire::events_of(wire::chunk_at(header_, chunk_))[place_++] = event;
        __atomic_store_n(&lane_->head, ++head_, __ATOMIC_RELEASE);  // [head]
    }

    // [window]
    void rest(uint32_t entry, uint64_t address, uint64_t time, uint64_t bytes, uint32_t stack) {
        wire::HeapEvent* at = wire::window_of(header_, number_) + entry;
        __atomic_store_n(&at->address, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&at->time, time, __ATOMIC_RELEASE);
        __atomic_store_n(&at->bytes, bytes, __ATOMIC_RELEASE);
        __atomic_store_n(&at->stack, stack, __ATOMIC_RELEASE);
        __atomic_store_n(&at->sampled_every, 0, __ATOMIC_RELEASE);
        __atomic_store_n(&at->address, wire::heap_word(wire::HeapEventKind::kAllocation, address),
                         __ATOMIC_RELEASE);
    }
    const wire::HeapEvent& resting(uint32_t entry) const { return wire::window_of(header_, number_)[entry]; }
    void count_temporaries(uint32_t entry, uint32_t stack, uint32_t count, uint64_t bytes) {
        wire::temporaries_of(header_, number_)[entry] = {stack, count, bytes};
    }
    void clear(uint32_t entry) {
        __atomic_store_n(&wire::window_of(header_, number_)[entry].address, 0, __ATOMIC_RELAXED);
    }

  private:
    void go_on() {
        uint32_t taken = wire::take_chunk(header_);
        while (taken == wire::kNoChunk) {
            sched_yield();
            taken = wire::take_chunk(header_);
        }
        wire::Chunk* chunk = wire::chunk_at(header_, taken);
        chunk->first_position = head_;
        chunk->lane = number_;
        chunk->next = 0;
        uint32_t* link =
            chunk_ == wire::kNoChunk ? &lane_->first_chunk : &wire::chunk_at(header_, chunk_)->next;
        __atomic_store_n(link, taken + 1, __ATOMIC_RELEASE);
        chunk_ = taken;
        place_ = 0;
    }

    wire::Header* header_;
    uint32_t number_;
    wire::Lane* lane_;
    uint64_t head_ = 0;
    uint32_t chunk_ = wire::kNoChunk;
    uint32_t place_ = wire::kChunkEvents;
};

}  // namespace offheap::stress
