// Where the sections of a new channel lie, and how large they are.
#pragma once

#include <stdint.h>

#include "native/wire/layout.h"

namespace offheap::record {

// What a channel has as soon as it is made; all else is backed by memory as it fills. In bytes.
inline constexpr uint64_t kTextFirstBytes = 1u << 16;
inline constexpr uint64_t kNodesFirstBytes = 1u << 16;
inline constexpr uint64_t kRingFirstBytes = 1u << 18;

// With more room no channel gets larger, with less none gets smaller.
inline constexpr uint64_t kMostRoomBytes = 1ULL << 32;
inline constexpr uint64_t kLeastRoomBytes = 1u << 17;

inline constexpr uint32_t kMostLanes = 1u << 14;

// A header that holds offsets and capacities. Each section may in the end fill a part of `room_bytes`, so
// that a small file system (a container's /dev/shm) gets a small channel rather than none; without room for
// heap events, their capacities are 0.
wire::Header lay_out_sections(uint64_t ring_events, uint64_t heap_chunks, uint64_t room_bytes);

}  // namespace offheap::record
