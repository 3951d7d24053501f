// Reads the lanes of a channel (native/wire/heap.h): all events up to a moment, merged by time.
//
// In a lane, nothing stands before a release that is younger than it. So a merge that always goes on with the
// lane whose next event is the oldest meets each release after all events that are older, but for the
// allocations that their threads told late.
//
// The other end is hostile: links, positions and numbers are checked, and what makes no sense ends its lane.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <vector>

#include "native/addon/channel_file.h"
#include "native/addon/guarded_page.h"
#include "native/wire/heap.h"

namespace offheap::addon {

// Takes what was read.
class HeapEventSink {
  public:
    virtual ~HeapEventSink() = default;
    // `count` events of one lane that will come soon; what they need may be looked up.
    virtual void expect(const wire::HeapEvent* events, size_t count) = 0;
    // `count` events of one lane in their order, the first one's place in the lane being `position`; of
    // `ahead` events, at least as many, it may look up what it will need.
    virtual void apply(uint32_t lane, uint64_t position, const wire::HeapEvent* events, size_t count,
                       size_t ahead) = 0;
};

class HeapReader {
  public:
    // `page` maps the channel's first page.
    HeapReader(const ChannelFile& file, GuardedPage& page) : file_(file), page_(page) {}

    // Passes on all events that are published now and not younger than `until`, which must have been read
    // from the channel's clock before this call; the others wait for the next. `lanes` is the lane table as
    // it is now.
    [[nodiscard]] MaybeFailure read(uint64_t until, const std::vector<wire::Lane>& lanes,
                                    HeapEventSink& sink);

    // All lanes that were ever used, `used` as the channel's header says.
    [[nodiscard]] MaybeFailure read_lanes(uint64_t used, std::vector<wire::Lane>& lanes) const;

    // Notes in each lane how far it was read, for the next collector.
    [[nodiscard]] MaybeFailure note_tails();

    uint64_t events() const { return events_; }
    // An earlier collector has read events that are gone: what they told is unknown here.
    bool resumed() const { return resumed_; }
    // Lanes that ended since what they said made no sense, and events from a future that no clock's error
    // explains.
    uint64_t damaged() const { return damaged_; }

  private:
    struct Place {
        uint64_t position = 0;        // of the next event
        uint64_t first_position = 0;  // of the chunk
        uint64_t noted = 0;
        uint32_t chunk = wire::kNoChunk;
        uint32_t next = 0;  // the chunk's link as it was last seen; set once, it stays
        bool known = false;
        bool ended = false;
    };

    // A lane with events that were copied and not yet passed on.
    struct Cursor {
        wire::HeapEvent* at;
        wire::HeapEvent* end;
        wire::HeapEvent* buffer;  // and the room of one event before it
        uint64_t head;
        uint32_t lane;
    };

    [[nodiscard]] MaybeFailure begin(uint32_t number, const wire::Lane& lane);
    [[nodiscard]] MaybeFailure fill(Cursor& cursor, size_t slots);
    [[nodiscard]] MaybeFailure go_on(Cursor& cursor, size_t slots);
    [[nodiscard]] MaybeFailure leave(uint32_t lane, uint32_t finished);
    [[nodiscard]] MaybeFailure note_tail(uint32_t lane);
    [[nodiscard]] MaybeFailure merge(std::vector<Cursor>& cursors, size_t slots, uint64_t until,
                                     HeapEventSink& sink);
    void drop_impossible(Cursor& cursor, uint64_t until);
    uint64_t chunk_offset(uint32_t chunk) const {
        return file_.chunks().offset_bytes + uint64_t{chunk} * wire::kChunkBytes;
    }
    void end(Place& place) {
        place.ended = true;
        ++damaged_;
    }

    const ChannelFile& file_;
    GuardedPage& page_;
    std::vector<Place> places_;
    bool resumed_ = false;
    std::vector<wire::HeapEvent> buffers_;
    uint64_t events_ = 0;
    uint64_t damaged_ = 0;
};

}  // namespace offheap::addon
