// The consumer's end of the event ring (native/wire/ring.h), over a file that may be truncated or
// overwritten.
#pragma once

#include <stdint.h>

#include "native/addon/channel_file.h"
#include "native/addon/guarded_page.h"

namespace offheap::addon {

struct Drained {
    uint64_t events = 0;    // records copied
    uint64_t lost = 0;      // positions passed over: given up, or their slot holds something else
    uint64_t position = 0;  // the next position to read
    uint64_t waiting = 0;   // positions taken by producers but not read yet
    uint64_t hole = 0;      // when there were no records: how many positions in front are not committed
    bool blocked = false;   // a committed record was seen behind the hole
};

class RingReader {
  public:
    explicit RingReader(const ChannelFile& file) : file_(file) {}

    // Starts at the oldest record that was not freed.
    [[nodiscard]] MaybeFailure rewind();

    // Makes `process_id` the one collector, where the channel names `expected` (0: nobody); `found` is what
    // it named.
    [[nodiscard]] MaybeFailure claim(uint32_t expected, uint32_t process_id, uint32_t& found);
    [[nodiscard]] MaybeFailure release();

    // Takes the consumer lock for a moment, where it holds `expected`: while the target tidies up a full
    // ring, it has it. `found` is what it held. Reading then goes on behind what the target has moved to the
    // backlog.
    [[nodiscard]] MaybeFailure lock(uint32_t expected, uint32_t& found);
    [[nodiscard]] MaybeFailure unlock();

    // Copies committed records in order into `slots` x 128 bytes at `buffer`, without freeing them. Needs the
    // lock: without it, slots may be freed and written anew during the copy.
    [[nodiscard]] MaybeFailure drain(uint8_t* buffer, uint64_t slots, Drained& drained);

    // Gives up on `count` records at the reading position.
    void skip(uint64_t count) { position_ += count; }
    uint64_t position() const { return position_; }
    uint64_t freed() const { return freed_; }

    // Gives all slots before `position` back to the producers. Needs the claim.
    [[nodiscard]] MaybeFailure free_until(uint64_t position);

    // A checkpoint of the events before `position` is about to be written: from now on the target keeps the
    // releases of what they mapped. Needs the claim.
    [[nodiscard]] MaybeFailure announce_checkpoint(uint64_t position);

    // All events before `position` are safe elsewhere: the backlog begins anew there. Needs the claim.
    [[nodiscard]] MaybeFailure clear_backlog(uint64_t position);

    // Tells the target that somebody reads: monotonic nanoseconds. Needs the claim.
    [[nodiscard]] MaybeFailure beat(uint64_t now_ns);

  private:
    [[nodiscard]] MaybeFailure check_claim();
    [[nodiscard]] MaybeFailure read_slots(uint64_t position, uint64_t count, uint8_t* buffer) const;

    const ChannelFile& file_;
    GuardedPage page_;
    uint32_t process_id_ = 0;
    bool locked_ = false;
    uint64_t position_ = 0;
    uint64_t freed_ = 0;
};

}  // namespace offheap::addon
