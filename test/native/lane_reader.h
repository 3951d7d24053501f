// Reads heap lanes as a collector does: along the links of their chunks, up to the head.
#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "native/wire/heap.h"

namespace offheap::test {

class LaneReader {
  public:
    LaneReader(wire::Header* header, uint32_t lane) : header_(header), lane_(lane) {}

    // The events from where it stopped last up to the head. With `giving_back`, chunks that are read to their
    // end, and that the lane has left, return to the pool.
    std::vector<wire::HeapEvent> read(bool giving_back = false) {
        std::vector<wire::HeapEvent> events;
        const wire::Lane* lane = wire::lane_at(header_, lane_);
        const uint64_t head = __atomic_load_n(&lane->head, __ATOMIC_ACQUIRE);  // [head]
        while (position_ < head) {
            const uint64_t index = position_ % wire::kChunkEvents;
            if (index == 0) enter_next_chunk(*lane, giving_back);
            events.push_back(wire::events_of(wire::chunk_at(header_, chunk_ - 1))[index]);
            ++position_;
        }
        return events;
    }

    uint64_t position() const { return position_; }

  private:
    void enter_next_chunk(const wire::Lane& lane, bool giving_back) {
        const uint32_t before = chunk_;
        chunk_ = before == 0 ? __atomic_load_n(&lane.first_chunk, __ATOMIC_ACQUIRE)
                             : __atomic_load_n(&wire::chunk_at(header_, before - 1)->next, __ATOMIC_ACQUIRE);
        if (chunk_ == 0 || chunk_ > header_->chunks_capacity) damaged("no link to position");
        const wire::Chunk* chunk = wire::chunk_at(header_, chunk_ - 1);
        if (chunk->first_position != position_) damaged("wrong first position of the chunk for");
        if (chunk->lane != lane_) damaged("another lane's chunk for");
        const uint64_t free =
            __atomic_load_n(&wire::chunk_bits(header_)[(chunk_ - 1) / 64], __ATOMIC_RELAXED);
        if ((free >> (chunk_ - 1) % 64 & 1) != 0) damaged("a free chunk for");
        if (giving_back && before != 0) wire::give_chunk_back(header_, before - 1);
    }

    void damaged(const char* what) const {
        throw std::runtime_error("lane " + std::to_string(lane_) + ": " + what + " " +
                                 std::to_string(position_));
    }

    wire::Header* header_;
    uint32_t lane_;
    uint64_t position_ = 0;
    uint32_t chunk_ = 0;  // plus one
};

// Two equal copies are whole ([window] in native/wire/heap.h).
template <typename Entry>
bool read_whole(const Entry* shared, Entry* copy) {
    static_assert(sizeof(Entry) % sizeof(uint64_t) == 0);
    Entry again;
    const auto take = [shared](Entry* to) {
        const auto* words = reinterpret_cast<const uint64_t*>(shared);
        for (size_t i = 0; i < sizeof(Entry) / sizeof(uint64_t); ++i) {
            const uint64_t word = __atomic_load_n(&words[i], __ATOMIC_ACQUIRE);
            memcpy(reinterpret_cast<uint8_t*>(to) + i * sizeof word, &word, sizeof word);
        }
    };
    take(copy);
    take(&again);
    return memcmp(copy, &again, sizeof again) == 0;
}

}  // namespace offheap::test
