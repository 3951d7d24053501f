#include "native/addon/heap_reader.h"

#include <string.h>

#include <algorithm>

#include "native/addon/clock.h"

namespace offheap::addon {
namespace {

using wire::HeapEvent;
using wire::kChunkEvents;

// For all lanes together: with very many of them each is read in smaller pieces.
constexpr size_t kBufferEvents = 1 << 15;
constexpr size_t kLeastSlots = 16;

// Processors' counters may differ a little; an event from further ahead (some 20 s) is garbage that would
// block its lane.
constexpr uint64_t kClockErrorTicks = 1ULL << 36;

constexpr uint64_t kTailPositionMask = (1ULL << (64 - wire::kTailChunkBits)) - 1;
constexpr uint32_t kTailChunkMask = (1U << wire::kTailChunkBits) - 1;

}  // namespace

MaybeFailure HeapReader::read_lanes(uint64_t used, std::vector<wire::Lane>& lanes) const {
    lanes.resize(std::min(used, file_.lanes().capacity));
    return file_.read(file_.lanes().offset_bytes, lanes.data(), lanes.size() * sizeof(wire::Lane));
}

MaybeFailure HeapReader::read(uint64_t until, const std::vector<wire::Lane>& lanes, HeapEventSink& sink) {
    if (places_.size() < lanes.size()) places_.resize(lanes.size());
    std::vector<Cursor> cursors;
    for (uint32_t number = 0; number < lanes.size(); ++number) {
        Place& place = places_[number];
        const uint64_t head = lanes[number].head;
        if (place.ended || (place.known ? head == place.position : head == 0)) continue;
        if (!place.known) {
            if (auto failure = begin(number, lanes[number])) return failure;
        }
        // No more than the pool holds can be waiting.
        if (head < place.position || head - place.position > file_.chunks().capacity * kChunkEvents) {
            end(place);
        }
        if (!place.ended && head != place.position) {
            cursors.push_back({nullptr, nullptr, nullptr, head, number});
        }
    }
    if (cursors.empty()) return {};
    const size_t slots = std::clamp<size_t>(kBufferEvents / cursors.size(), kLeastSlots, kChunkEvents);
    buffers_.resize(cursors.size() * (1 + slots));
    for (size_t index = 0; index < cursors.size(); ++index) {
        cursors[index].buffer = &buffers_[index * (1 + slots) + 1];
        cursors[index].at = cursors[index].end = cursors[index].buffer;
    }
    return merge(cursors, slots, until, sink);
}

// Finds where an earlier collector stopped, or the lane's first event.
MaybeFailure HeapReader::begin(uint32_t number, const wire::Lane& lane) {
    Place& place = places_[number];
    place.known = true;
    place.noted = lane.tail;
    const uint32_t link =
        lane.tail != 0 ? static_cast<uint32_t>(lane.tail) & kTailChunkMask : lane.first_chunk;
    if (link == 0 || link > file_.chunks().capacity) {
        end(place);
        return {};
    }
    if (lane.tail == 0) {
        // As behind the end of a chunk before the first.
        place.first_position = place.position - kChunkEvents;
        place.next = link;
        return {};
    }
    wire::Chunk chunk;
    if (auto failure = file_.read(chunk_offset(link - 1), &chunk, sizeof chunk)) return failure;
    // The tail has room for the position's low bits; the chunk tells the others.
    const uint64_t inside = ((lane.tail >> wire::kTailChunkBits) - chunk.first_position) & kTailPositionMask;
    if (chunk.lane != number || inside > kChunkEvents || chunk.first_position % kChunkEvents != 0) {
        end(place);
        return {};
    }
    place.chunk = link - 1;
    place.first_position = chunk.first_position;
    place.position = chunk.first_position + inside;
    resumed_ |= place.position > 0;
    return {};
}

// From a chunk that was read to its end to the next one, of which it copies the head and events at once. That
// must begin at the lane's position: since that rises from chunk to chunk, a chain can't lead back to itself.
MaybeFailure HeapReader::go_on(Cursor& cursor, size_t slots) {
    Place& place = places_[cursor.lane];
    const uint32_t finished = place.chunk;
    wire::Chunk head;
    if (place.next == 0) {
        if (auto failure = file_.read(chunk_offset(finished), &head, sizeof head)) return failure;
        place.next = head.next;
    }
    // [head]: the link was there before the head moved past it.
    if (place.next == 0 || place.next > file_.chunks().capacity || place.next - 1 == finished) {
        end(place);
        return {};
    }
    const uint32_t chunk = place.next - 1;
    const uint64_t count = std::min<uint64_t>(cursor.head - place.position, slots);
    static_assert(sizeof head == sizeof(HeapEvent), "stands before the events as one of them");
    if (auto failure = file_.read(chunk_offset(chunk), cursor.buffer - 1, (1 + count) * sizeof(HeapEvent))) {
        return failure;
    }
    memcpy(&head, cursor.buffer - 1, sizeof head);
    if (head.first_position != place.position || head.lane != cursor.lane) {
        end(place);
        return {};
    }
    place.chunk = chunk;
    place.first_position = place.position;
    place.next = head.next;
    cursor.end = cursor.buffer + count;
    return finished == wire::kNoChunk ? MaybeFailure() : leave(cursor.lane, finished);
}

MaybeFailure HeapReader::leave(uint32_t lane, uint32_t finished) {
    // First the note, then the chunk: a collector that is killed in between leaves no note of a chunk that
    // is another lane's meanwhile.
    if (auto failure = note_tail(lane)) return failure;
    const uint64_t word = wire::kChunkBitsOffset + finished / 64 * sizeof(uint64_t);
    // On a busy machine a full pool takes seconds to read, and who gives chunks back can be waited for.
    if (!page_.or_release(word, 1ULL << finished % 64) ||  // [chunk]
        !page_.store_release(offsetof(wire::Header, heap_beat_ns), monotonic_ns())) {
        return addon::damaged("the channel was truncated");
    }
    return {};
}

MaybeFailure HeapReader::note_tail(uint32_t lane) {
    Place& place = places_[lane];
    if (place.chunk == wire::kNoChunk) return {};
    const uint64_t tail = place.position << wire::kTailChunkBits | (place.chunk + 1);
    if (tail == place.noted) return {};
    place.noted = tail;
    const uint64_t offset = file_.lanes().offset_bytes + uint64_t{lane} * sizeof(wire::Lane);
    return file_.write(offset + offsetof(wire::Lane, tail), &tail, sizeof tail);
}

MaybeFailure HeapReader::note_tails() {
    for (uint32_t lane = 0; lane < places_.size(); ++lane) {
        if (places_[lane].ended || !places_[lane].known) continue;
        if (auto failure = note_tail(lane)) return failure;
    }
    return {};
}

// Copies the cursor's next events; none at the lane's head, or where the lane has ended.
MaybeFailure HeapReader::fill(Cursor& cursor, size_t slots) {
    Place& place = places_[cursor.lane];
    cursor.at = cursor.end = cursor.buffer;
    if (place.ended || place.position == cursor.head) return {};
    const uint64_t inside = place.position - place.first_position;
    if (inside == kChunkEvents) return go_on(cursor, slots);
    const uint64_t count =
        std::min({cursor.head - place.position, kChunkEvents - inside, static_cast<uint64_t>(slots)});
    const uint64_t offset = chunk_offset(place.chunk) + sizeof(wire::Chunk) + inside * sizeof(HeapEvent);
    cursor.end = cursor.at + count;
    return file_.read(offset, cursor.at, count * sizeof(HeapEvent));
}

void HeapReader::drop_impossible(Cursor& cursor, uint64_t until) {
    const uint64_t limit = until + std::min(kClockErrorTicks, UINT64_MAX - until);
    while (cursor.at != cursor.end && cursor.at->time > limit) {
        ++cursor.at;
        ++places_[cursor.lane].position;
        ++damaged_;
    }
}

MaybeFailure HeapReader::merge(std::vector<Cursor>& cursors, size_t slots, uint64_t until,
                               HeapEventSink& sink) {
    const auto younger = [](const Cursor& left, const Cursor& right) {
        return left.at->time != right.at->time ? left.at->time > right.at->time : left.lane > right.lane;
    };
    // Copies more where all was passed on; false where there is no more.
    MaybeFailure failure;
    const auto ready = [&](Cursor& cursor) {
        drop_impossible(cursor, until);
        while (!failure && cursor.at == cursor.end) {
            failure = fill(cursor, slots);
            if (failure || cursor.at == cursor.end) return false;
            drop_impossible(cursor, until);
            sink.expect(cursor.at, static_cast<size_t>(cursor.end - cursor.at));
        }
        return !failure;
    };
    std::erase_if(cursors, [&](Cursor& cursor) { return !ready(cursor); });
    std::make_heap(cursors.begin(), cursors.end(), younger);
    while (!failure && !cursors.empty() && cursors.front().at->time <= until) {
        std::pop_heap(cursors.begin(), cursors.end(), younger);
        Cursor& cursor = cursors.back();
        // As far as this lane stays the oldest.
        const uint64_t limit = cursors.size() > 1 ? std::min(until, cursors.front().at->time) : until;
        const HeapEvent* last = cursor.at + 1;
        while (last != cursor.end && last->time <= limit) ++last;
        const auto count = static_cast<size_t>(last - cursor.at);
        uint64_t& position = places_[cursor.lane].position;
        sink.apply(cursor.lane, position, cursor.at, count, static_cast<size_t>(cursor.end - cursor.at));
        cursor.at += count;
        position += count;
        events_ += count;
        if (ready(cursor)) {
            std::push_heap(cursors.begin(), cursors.end(), younger);
        } else {
            cursors.pop_back();
        }
    }
    return failure;
}

}  // namespace offheap::addon
