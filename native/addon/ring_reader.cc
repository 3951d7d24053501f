#include "native/addon/ring_reader.h"

#include <string.h>

#include <algorithm>
#include <atomic>

#include "native/wire/ring.h"

namespace offheap::addon {
namespace {

using wire::Event;
using wire::Filling;
using wire::Header;

constexpr char kTruncated[] = "the channel was truncated while it was read";

uint64_t sequence_at(const uint8_t* buffer, uint64_t slot) {
    uint64_t sequence;
    memcpy(&sequence, buffer + slot * sizeof(Event) + offsetof(Event, sequence), sizeof sequence);
    return sequence;
}

}  // namespace

MaybeFailure RingReader::rewind() {
    Header header;
    if (auto failure = file_.read_header(header)) return failure;
    freed_ = header.ring_tail;
    // Records that were moved to the backlog and not yet freed, since the target was killed in between.
    const bool moved =
        header.backlog_position > header.ring_tail && header.backlog_position <= header.ring_head;
    position_ = moved ? header.backlog_position : header.ring_tail;
    return {};
}

MaybeFailure RingReader::claim(uint32_t expected, uint32_t process_id, uint32_t& found) {
    if (!page_.mapped() && !page_.map(file_.descriptor())) return damaged("the channel can't be mapped");
    found = expected;
    if (!page_.compare_exchange(offsetof(Header, collector_process_id), found, process_id))
        return damaged(kTruncated);
    if (found == expected) process_id_ = process_id;
    return {};
}

MaybeFailure RingReader::lock(uint32_t expected, uint32_t& found) {
    if (auto failure = check_claim()) return failure;
    found = expected;
    if (!page_.compare_exchange(offsetof(Header, consumer_lock), found, process_id_))
        return damaged(kTruncated);
    if (found != expected) return {};
    locked_ = true;
    const uint64_t position = position_;
    if (auto failure = rewind()) return failure;
    position_ = std::max(position, position_);
    return {};
}

MaybeFailure RingReader::unlock() {
    if (!locked_) return {};
    locked_ = false;
    uint32_t expected = process_id_;
    if (!page_.compare_exchange(offsetof(Header, consumer_lock), expected, 0)) return damaged(kTruncated);
    return {};
}

MaybeFailure RingReader::check_claim() {
    uint32_t holder = 0;
    if (process_id_ == 0) return Failure{kChannelBusy, "the channel is read only: it was not claimed"};
    if (!page_.load(offsetof(Header, collector_process_id), holder)) return damaged(kTruncated);
    if (holder == 0) return damaged("the channel was overwritten: it no longer names its collector");
    if (holder != process_id_) {
        return Failure{kChannelBusy, "another collector, process " + std::to_string(holder) +
                                         ", has taken the channel over"};
    }
    return {};
}

MaybeFailure RingReader::release() {
    if (process_id_ == 0 || check_claim()) return {};
    if (auto failure = unlock()) return failure;
    uint32_t expected = process_id_;
    process_id_ = 0;
    // A producer that meets a full ring waits for a consumer that beats: from now on it must not.
    if (!page_.store_release(offsetof(Header, collector_beat_ns), uint64_t{0}) ||
        !page_.compare_exchange(offsetof(Header, collector_process_id), expected, 0)) {
        return damaged(kTruncated);
    }
    return {};
}

MaybeFailure RingReader::read_slots(uint64_t position, uint64_t count, uint8_t* buffer) const {
    const uint64_t capacity = file_.ring().capacity;
    while (count > 0) {
        const uint64_t slot = position & (capacity - 1);
        const uint64_t run = std::min(count, capacity - slot);
        if (auto failure =
                file_.read(file_.ring().offset_bytes + slot * sizeof(Event), buffer, run * sizeof(Event))) {
            return failure;
        }
        position += run;
        count -= run;
        buffer += run * sizeof(Event);
    }
    return {};
}

MaybeFailure RingReader::drain(uint8_t* buffer, uint64_t slots, Drained& drained) {
    uint64_t head = 0;
    if (process_id_ == 0) return check_claim();
    if (!locked_) return Failure{kChannelBusy, "the channel was not locked for reading"};
    if (auto failure = file_.read(offsetof(Header, ring_head), &head, sizeof head)) return failure;
    if (head < position_ || head - freed_ > file_.ring().capacity) {
        // So it looks, too, where another collector took over and frees slots now.
        if (auto failure = check_claim()) return failure;
        return damaged("the channel is damaged: its ring positions make no sense");
    }
    const uint64_t count = std::min(head - position_, slots);
    if (auto failure = read_slots(position_, count, buffer)) return failure;

    const auto filling = [&](uint64_t slot) {
        return wire::filling_of(sequence_at(buffer, slot), position_ + slot);
    };
    const auto is_lost = [&](uint64_t slot) {
        return filling(slot) == Filling::kOverwritten || filling(slot) == Filling::kGivenUp;
    };
    uint64_t first = 0;
    while (first < count && is_lost(first)) ++first;
    uint64_t end = first;
    while (end < count && filling(end) == Filling::kCommitted) ++end;
    uint64_t hole_end = end;
    if (end == first) {
        while (hole_end < count && filling(hole_end) == Filling::kPending) ++hole_end;
    }
    // The first copy proved [commit] for these slots, but promises nothing about their fields: the kernel's
    // copy may have read a field before the producer wrote it and the sequence after. A copy that starts now
    // can't.
    std::atomic_thread_fence(std::memory_order_acquire);  // [commit]
    if (auto failure = read_slots(position_ + first, end - first, buffer)) return failure;
    uint64_t events = 0;
    while (events < end - first && sequence_at(buffer, events) == position_ + first + events + 1) ++events;

    position_ += first + events;
    drained.lost = first;
    drained.events = events;
    drained.position = position_;
    drained.waiting = head - position_;
    drained.hole = hole_end - end;
    drained.blocked = hole_end > end && hole_end < count;
    return {};
}

MaybeFailure RingReader::free_until(uint64_t position) {
    if (position <= freed_) return {};
    if (auto failure = check_claim()) return failure;
    if (!page_.store_release(offsetof(Header, ring_tail), std::min(position, position_))) {  // [free]
        return damaged(kTruncated);
    }
    freed_ = std::min(position, position_);
    return {};
}

MaybeFailure RingReader::announce_checkpoint(uint64_t position) {
    if (auto failure = check_claim()) return failure;
    if (!page_.store_release(offsetof(Header, cancel_from), position)) return damaged(kTruncated);
    return {};
}

MaybeFailure RingReader::clear_backlog(uint64_t position) {
    if (auto failure = check_claim()) return failure;
    // In this order: records of the backlog that lie before its beginning are passed over.
    if (!page_.store_release(offsetof(Header, backlog_from), position) ||
        !page_.store_release(offsetof(Header, backlog_used), uint64_t{0})) {
        return damaged(kTruncated);
    }
    return {};
}

MaybeFailure RingReader::beat(uint64_t now_ns) {
    if (auto failure = check_claim()) return failure;
    if (!page_.store_release(offsetof(Header, collector_beat_ns), now_ns)) return damaged(kTruncated);
    return {};
}

}  // namespace offheap::addon
