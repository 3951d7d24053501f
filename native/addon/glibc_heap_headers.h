// The headers of glibc's malloc chunks, as they lie in memory.
#pragma once

#include <stdint.h>
#include <string.h>

#include <algorithm>
#include <vector>

#include "native/addon/target_memory.h"

namespace offheap::addon {

inline constexpr uint64_t kPreviousInUse = 1;
inline constexpr uint64_t kIsMapped = 2;
inline constexpr uint64_t kChunkFlags = 7;
inline constexpr uint64_t kChunkHeaderBytes = 16;
// Of the header of a chunk in use: its first word belongs to the chunk before it.
inline constexpr uint64_t kChunkOverheadBytes = 8;

struct ChunkHeader {
    uint64_t previous_bytes;  // only where the chunk before is free
    uint64_t size_word;
    uint64_t bytes() const { return size_word & ~kChunkFlags; }
    bool previous_in_use() const { return (size_word & kPreviousInUse) != 0; }
};

// Headers out of a piece of memory that is copied when the walk reaches it. Pieces grow while the walk goes
// on from one to the next, and are small again behind a large chunk: what lies within chunks isn't needed.
class ChunkHeaders {
  public:
    static constexpr uint64_t kPieceBytes = 256 << 10;

    ChunkHeaders(TargetMemory& memory, uint64_t start, uint64_t end)
        : memory_(memory),
          end_(end),
          bytes_left_(kMostReadings * std::max(end - start, kPieceBytes)),
          piece_(kPieceBytes) {}

    bool at(uint64_t address, ChunkHeader& header) {
        if (!resident_at(address, header)) return false;
        // No header has a size of nothing. This one lies in a page that is swapped out, or is none.
        return header.size_word != 0 || memory_.read(address, &header, sizeof header);
    }

    // Zeros where the page is not in memory.
    bool resident_at(uint64_t address, ChunkHeader& header) {
        if (end_ < sizeof header || address > end_ - sizeof header) return false;
        if (filled_ == 0 || address < start_ || address - start_ > filled_ - sizeof header) {
            if (bytes_left_ < kPieceBytes) return false;
            fill(address);
        }
        memcpy(&header, piece_.data() + (address - start_), sizeof header);
        return true;
    }

    void forget() { filled_ = 0; }

  private:
    static constexpr uint64_t kPageBytes = 4096;
    // A heap is read so many times over at most: in a hostile one each number leads far away.
    static constexpr uint64_t kMostReadings = 16;
    static constexpr uint64_t kFirstPieceBytes = 16 << 10;

    void fill(uint64_t address) {
        const bool goes_on = filled_ != 0 && address >= start_ && address - start_ < 2 * filled_;
        next_bytes_ = goes_on ? std::min(2 * next_bytes_, kPieceBytes) : kFirstPieceBytes;
        start_ = address & ~(kPageBytes - 1);
        filled_ = std::min(next_bytes_, end_ - start_);
        bytes_left_ -= filled_;
        memory_.read_resident(start_, piece_.data(), filled_);
    }

    TargetMemory& memory_;
    uint64_t end_;
    uint64_t bytes_left_;
    uint64_t next_bytes_ = kFirstPieceBytes;
    uint64_t start_ = 0;
    uint64_t filled_ = 0;
    std::vector<uint8_t> piece_;
};

}  // namespace offheap::addon
