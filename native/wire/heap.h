// Heap events on their way: one lane for each thread, made of chunks that a common pool lends out. A thread
// writes events into its present chunk and publishes them by moving its lane's `head`; when the chunk is full
// it takes another one and links it. The collector reads along the links and gives chunks back. Nothing on
// the way is shared by two threads but the pool, once in kChunkEvents events.
//
// Before an allocation is published it rests in the lane's window: freed by the same thread meanwhile, it
// never is. So in a lane, releases are in the order of their times, and allocations may come late, by any
// time. The pairing rests on three facts:
//   - a release is published before the block is freed, so before a later allocation of the address is
//   stamped;
//   - an allocation is stamped after the block is there, so after the release before it was published;
//   - all events stamped before a moment are, at that moment, published or in a window.
// A collector that applies releases in the order of time, and of each address pairs a release with the latest
// allocation before it, whenever that arrives, is exact.
//
// Reading a clock is most of what an event costs. So a collector that lives keeps the time in the header, and
// threads count on from there: `heap_time`, 0 where nobody keeps it, and then they read the clock. It only
// rises. What is to be younger is made so: a release is younger than the kept time, than all that its lane
// has published, and than the last event of its address by whichever thread; an allocation is not older than
// the kept time and than the last release of its address. Before a collector reads up to a moment, it makes
// the kept time a later one. So whatever is stamped behind a collector's look is younger than that.
//
// The window and the temporaries lie in the channel, where the collector reads them without being waited for:
// what a thread that sleeps, or was killed, has not published is part of the account.
//
// Memory orders (cited at both ends):
//   [head]   thread's release store of `head` → collector's acquire load: the events, and links, before it
//   are
//            complete. A collector that reads with pread() has the kernel's copy in the place of the load.
//   [chunk]  collector's release OR of a chunk's bit → taker's acquire AND: the chunk's last reader is done.
//   [time]   collector's store of `heap_time`, with a full fence before it reads → thread's acquire load,
//            which comes behind those by which the block, and the mode, came to the thread.
//   [window] An entry is written with its address 0 first and last its address. Two equal copies, one made
//   after
//            the other, with an address are whole.
#pragma once

#include "native/wire/layout.h"

namespace offheap::wire {

inline constexpr uint32_t kChunkBytes = 16384;
// Behind the chunk's head.
inline constexpr uint32_t kChunkEvents = kChunkBytes / sizeof(HeapEvent) - 1;

// The window: sets of two events, chosen by the address. The temporaries: chosen by the stack.
inline constexpr uint32_t kWindowEvents = 256;
inline constexpr uint32_t kTemporariesEntries = 256;
// Of one lane at `windows_offset`: the window, and behind it the temporaries.
inline constexpr uint32_t kTemporariesOffset = kWindowEvents * sizeof(HeapEvent);
inline constexpr uint32_t kWindowBytes = kTemporariesOffset + kTemporariesEntries * sizeof(Temporaries);
static_assert(kWindowBytes == 12288, "whole pages: reserved one lane at a time");

inline constexpr uint32_t kHeapKindShift = 56;
inline constexpr uint64_t kHeapAddressMask = (1ULL << kHeapKindShift) - 1;

inline uint64_t heap_word(HeapEventKind kind, uint64_t address) {
    return static_cast<uint64_t>(kind) << kHeapKindShift | (address & kHeapAddressMask);
}
inline HeapEventKind heap_kind(const HeapEvent& event) {
    return static_cast<HeapEventKind>(event.address >> kHeapKindShift);
}
inline uint64_t heap_address(const HeapEvent& event) { return event.address & kHeapAddressMask; }

// `heap_control`: what is recorded, how often it was switched, and the mean of the sampling. One word, so
// that a thread sees a switch whole.
struct HeapControl {
    HeapMode mode = HeapMode::kOff;
    uint32_t epoch = 0;              // 24 bits; rises with every switch
    uint32_t sample_bytes = 524288;  // of the mode `sampled`; at least 1
    bool requested = false;          // kRequestedBit
};
// A request waits for a thread (request.h). With it the mode is one that no hook knows: they leave their
// usual ways, and look here at nothing else for it.
inline constexpr uint64_t kRequestedBit = 0x80;

constexpr uint64_t pack(const HeapControl& control) {
    return static_cast<uint64_t>(control.mode) | static_cast<uint64_t>(control.epoch & 0xffffff) << 8 |
           static_cast<uint64_t>(control.sample_bytes) << 32 | (control.requested ? kRequestedBit : 0);
}
constexpr HeapControl unpack_heap_control(uint64_t word) {
    const auto mode = static_cast<uint8_t>(word & ~kRequestedBit);
    return {mode < static_cast<uint8_t>(HeapMode::kCount) ? static_cast<HeapMode>(mode) : HeapMode::kOff,
            static_cast<uint32_t>(word >> 8) & 0xffffff, static_cast<uint32_t>(word >> 32),
            (word & kRequestedBit) != 0};
}

// The pool's free chunks: one bit each, set while nobody has the chunk, behind the header in the channel's
// first page (which the collector maps; all else it reads and writes through the file).
inline constexpr uint64_t kChunkBitsOffset = sizeof(Header);
inline constexpr uint64_t kMostChunks = (kPageBytes - kChunkBitsOffset) * 8;

inline uint64_t* chunk_bits(Header* header) {
    return reinterpret_cast<uint64_t*>(reinterpret_cast<uint8_t*>(header) + kChunkBitsOffset);
}

inline constexpr uint32_t kNoChunk = ~0u;

// Takes the lowest free chunk, so that few are ever touched; kNoChunk when none is free.
inline uint32_t take_chunk(Header* header) {
    uint64_t* bits = chunk_bits(header);
    const uint64_t words = (header->chunks_capacity + 63) / 64;
    for (uint64_t word = 0; word < words; ++word) {
        uint64_t free = __atomic_load_n(&bits[word], __ATOMIC_RELAXED);
        while (free != 0) {
            const auto bit = static_cast<uint32_t>(__builtin_ctzll(free));
            const uint64_t before =
                __atomic_fetch_and(&bits[word], ~(1ULL << bit), __ATOMIC_ACQUIRE);  // [chunk]
            if ((before & 1ULL << bit) != 0) return static_cast<uint32_t>(word * 64 + bit);
            free = before & ~(1ULL << bit);
        }
    }
    return kNoChunk;
}

// The collector's side of it is in the addon, over a page that may vanish.
inline void give_chunk_back(Header* header, uint32_t chunk) {
    __atomic_fetch_or(&chunk_bits(header)[chunk / 64], 1ULL << chunk % 64, __ATOMIC_RELEASE);  // [chunk]
}

inline Chunk* chunk_at(Header* header, uint32_t chunk) {
    auto* base = reinterpret_cast<uint8_t*>(header) + header->chunks_offset;
    return reinterpret_cast<Chunk*>(base + uint64_t{chunk} * kChunkBytes);
}
inline HeapEvent* events_of(Chunk* chunk) { return reinterpret_cast<HeapEvent*>(chunk + 1); }

inline Lane* lane_at(Header* header, uint32_t lane) {
    return reinterpret_cast<Lane*>(reinterpret_cast<uint8_t*>(header) + header->lanes_offset) + lane;
}
inline HeapEvent* window_of(Header* header, uint32_t lane) {
    auto* base = reinterpret_cast<uint8_t*>(header) + header->windows_offset;
    return reinterpret_cast<HeapEvent*>(base + uint64_t{lane} * kWindowBytes);
}
inline Temporaries* temporaries_of(Header* header, uint32_t lane) {
    return reinterpret_cast<Temporaries*>(reinterpret_cast<uint8_t*>(window_of(header, lane)) +
                                          kTemporariesOffset);
}

// Lane::tail, the collector's note for the next collector.
inline constexpr uint32_t kTailChunkBits = 24;

}  // namespace offheap::wire
