#include "preload/record/backlog.h"

#include <errno.h>
#include <sys/mman.h>

#include "native/wire/ring.h"
#include "preload/record/mapping_index.h"
#include "preload/record/signals_blocked.h"
#include "preload/runtime/clock.h"
#include "preload/runtime/raw_syscall.h"

namespace offheap::record {

using namespace offheap::runtime;
using wire::Event;
using wire::Operation;
using wire::Phase;

namespace {

constexpr uint32_t kMaxFailures = 64;
constexpr uint64_t kManyCancelled = 8192;
constexpr uint64_t kSilentNs = 500'000'000;
constexpr uint64_t kHolePatienceNs = 2'000'000'000;
constexpr uint64_t kLargestPageBytes = 1ULL << 30;

Operation operation(const Event& event) { return static_cast<Operation>(event.operation); }
Phase phase(const Event& event) { return static_cast<Phase>(event.phase); }
uint64_t round_up(uint64_t bytes, uint64_t unit) { return (bytes + unit - 1) & ~(unit - 1); }

// Private to this process and guarded by the channel's consumer lock.
struct Index {
    MappingIndex* mappings = nullptr;
    uint64_t channel_id = 0;
    uint64_t cancelled = 0;  // records in the backlog that await a squeeze
    uint64_t stuck_at = 0;   // position + 1 of the event that found the backlog full
    uint64_t hole_at = 0;    // position + 1 of an event that was not committed when it was met last
    uint64_t hole_since_ns = 0;
};
Index index;

bool have_index(Channel& channel, OwnedRange* own_mapping) {
    if (index.mappings == nullptr) {
        constexpr uint64_t bytes = sizeof(MappingIndex);
        const long address =
            raw_syscall(kSysMmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (is_error(address)) return false;
        index.mappings = reinterpret_cast<MappingIndex*>(address);
        index.mappings->clear();
        *own_mapping = {static_cast<uint64_t>(address), bytes};
    }
    // A child after fork has a channel of its own, and a collector may have emptied the backlog.
    const wire::Header* header = channel.header();
    if (index.channel_id != header->channel_id || header->backlog_used == 0) {
        index.mappings->clear();
        index.channel_id = header->channel_id;
        index.cancelled = 0;
        index.stuck_at = 0;
    }
    return true;
}

class Backlog {
  public:
    explicit Backlog(Channel& channel)
        : channel_(channel),
          header_(channel.header()),
          events_(reinterpret_cast<Event*>(channel.address() + header_->backlog_offset)) {}

    bool has_room(uint64_t coming) const {
        return header_->backlog_capacity - header_->backlog_used >= coming;
    }

    // When most of what is held says nothing any more, or room is needed and there is some to be won.
    bool wants_squeeze(uint64_t coming) const {
        if (index.cancelled == 0) return false;
        return !has_room(coming) ||
               (index.cancelled > kManyCancelled && index.cancelled > header_->backlog_used / 2);
    }

    // Drops what was cancelled, in place and in order: were we killed half-way, the reader would see some
    // events twice, with sequences that don't rise, and skip those.
    void squeeze() {
        const uint64_t used = header_->backlog_used;
        index.mappings->clear();
        index.cancelled = 0;
        uint64_t kept = 0;
        for (uint64_t i = 0; i < used; ++i) {
            const Event event = events_[i];
            if (operation(event) == Operation::kNone || cancels(event)) continue;
            if (kept != i) put(kept, event);
            remember(event, static_cast<uint32_t>(kept));
            ++kept;
        }
        // Cancelled ones among those kept became gaps again; they stay for the next squeeze.
        __atomic_store_n(&header_->backlog_used, kept, __ATOMIC_RELEASE);
    }

    // False when there is no room.
    bool take(const Event& event, bool may_cancel) {
        if (may_cancel && cancels(event)) {
            drop_cancelled_end();
            return true;
        }
        if (may_cancel && is_of_no_consequence(event)) {
            ++header_->events_cancelled;
            return true;
        }
        const uint64_t slot = header_->backlog_used;
        if (slot >= header_->backlog_capacity || !channel_.reserve_backlog(slot)) return false;
        events_[slot] = event;
        if (!may_cancel) events_[slot].flags |= wire::kFlagNotCancelled;
        remember(events_[slot], static_cast<uint32_t>(slot));
        __atomic_store_n(&header_->backlog_used, slot + 1, __ATOMIC_RELEASE);
        return true;
    }

  private:
    // Over a record that a reader may still see: were we killed half-way, it would find this one's sequence
    // with the other's fields. Without a sequence it finds nothing there.
    void put(uint64_t slot, const Event& event) {
        auto* to = reinterpret_cast<uint64_t*>(&events_[slot]);
        const auto* from = reinterpret_cast<const uint64_t*>(&event);
        __atomic_store_n(&to[0], 0, __ATOMIC_RELAXED);
        for (uint32_t word = 1; word < sizeof(Event) / 8; ++word)
            __atomic_store_n(&to[word], from[word], __ATOMIC_RELEASE);
        __atomic_store_n(&to[0], from[0], __ATOMIC_RELEASE);
    }

    // The usual case, a mapping given back soon, then takes no room at all.
    void drop_cancelled_end() {
        uint64_t used = header_->backlog_used;
        while (used > 0 && operation(events_[used - 1]) == Operation::kNone) {
            --used;
            --index.cancelled;
        }
        __atomic_store_n(&header_->backlog_used, used, __ATOMIC_RELEASE);
    }

    void drop(const IndexedMapping& mapping) {
        events_[mapping.slot].operation = static_cast<uint8_t>(Operation::kNone);
        ++index.cancelled;
        ++header_->events_cancelled;
    }

    // [start, end) changes in a way that leaves its mappings as they are or cuts them: none may be dropped.
    void forget(uint64_t start, uint64_t end) {
        IndexedMapping mapping;
        while (index.mappings->take_overlapping(start, end, &mapping)) {
        }
    }

    // [start, end) is released or mapped anew: mappings that lie wholly inside say nothing any more. True
    // when it was exactly one, and without it all is as if neither had been.
    bool supersede(uint64_t start, uint64_t end) {
        bool exactly = false;
        IndexedMapping mapping;
        while (index.mappings->take_overlapping(start, end, &mapping)) {
            if (mapping.start < start || mapping.end > end) continue;
            drop(mapping);
            exactly = mapping.start == start && mapping.end == end && mapping.alone != 0;
        }
        return exactly;
    }

    static bool is_of_no_consequence(const Event& event) {
        const bool failed = is_error(static_cast<long>(event.result)) && phase(event) == Phase::kComplete;
        return failed || operation(event) == Operation::kMadvise ||
               operation(event) == Operation::kProcessMadvise || operation(event) == Operation::kFork;
    }

    // Whether `event` unmaps just what one mapping in the backlog has mapped; that one is then dropped too.
    bool cancels(const Event& event) {
        if (operation(event) != Operation::kMunmap || phase(event) != Phase::kBegin) return false;
        if ((event.flags & wire::kFlagNotCancelled) != 0) return false;
        if (!supersede(event.arg0, event.arg0 + round_up(event.arg1, wire::kPageBytes))) return false;
        ++header_->events_cancelled;
        return true;
    }

    void remember(const Event& event, uint32_t slot) {
        switch (operation(event)) {
            case Operation::kMmap: {
                if (is_error(static_cast<long>(event.result))) return;
                const bool huge = (event.arg3 & MAP_HUGETLB) != 0;
                const uint64_t start = event.result;
                const uint64_t end =
                    start + round_up(event.arg1, huge ? kLargestPageBytes : wire::kPageBytes);
                const bool fixed = (event.arg3 & MAP_FIXED) != 0;
                if (fixed && !huge) {
                    supersede(start, end);
                } else {
                    forget(start, end);
                }
                // Of executable files the reader wants to know for the sake of the code that they brought.
                // Mappings that a checkpoint may hold must not vanish with their release.
                const bool may_vanish = event.sequence > header_->cancel_from;
                if (!huge && event.text == 0 && may_vanish)
                    index.mappings->insert({start, end, slot, !fixed});
                return;
            }
            case Operation::kMunmap:
            case Operation::kRemapFilePages:
                forget(event.arg0, event.arg0 + round_up(event.arg1, wire::kPageBytes));
                return;
            case Operation::kMremap:
                forget(event.arg0, event.arg0 + round_up(event.arg1, wire::kPageBytes));
                if (phase(event) == Phase::kEnd)
                    forget(event.result, event.result + round_up(event.arg2, kLargestPageBytes));
                return;
            case Operation::kShmat:
                if (event.extra == 0) {
                    index.mappings->clear();
                } else {
                    forget(event.result, event.result + round_up(event.extra, kLargestPageBytes));
                }
                return;
            default:
                return;
        }
    }

    Channel& channel_;
    wire::Header* header_;
    Event* events_;
};

// Releases that failed say so in a later event: neither half may be dropped alone.
struct Failures {
    uint64_t positions[kMaxFailures];
    uint32_t count = 0;
    bool complete = true;

    void add(uint64_t position) {
        if (count < kMaxFailures) {
            positions[count++] = position;
        } else {
            complete = false;
        }
    }
    bool holds(uint64_t position) const {
        for (uint32_t i = 0; i < count; ++i) {
            if (positions[i] == position) return true;
        }
        return !complete;
    }
};

// The oldest event is still being written. Its thread needs a moment, or has left it for ever (a signal
// handler that jumped out): then it is lost.
Compaction pass_hole(wire::Header* header, uint64_t position) {
    const uint64_t now_ns = clock_ns(kClockMonotonic);
    if (index.hole_at != position + 1) {
        index.hole_at = position + 1;
        index.hole_since_ns = now_ns;
    }
    if (now_ns - index.hole_since_ns < kHolePatienceNs) return Compaction::kBusy;
    __atomic_fetch_add(&header->events_lost, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&header->backlog_position, position + 1, __ATOMIC_RELEASE);
    wire::free_until(header, position + 1);
    return Compaction::kMadeRoom;
}

Compaction move_to_backlog(Channel& channel) {
    wire::Header* header = channel.header();
    const uint64_t tail = __atomic_load_n(&header->ring_tail, __ATOMIC_RELAXED);
    const uint64_t head = __atomic_load_n(&header->ring_head, __ATOMIC_RELAXED);
    // Another thread was here between the caller's look at the ring and ours.
    if (head - tail < header->ring_capacity) return Compaction::kMadeRoom;
    Backlog backlog(channel);
    // A full backlog changes only by what a collector does: looking through the ring for every event that is
    // lost would slow the target down for nothing.
    if (index.stuck_at == tail + 1 && !backlog.has_room(1)) return Compaction::kNoRoom;
    // The newest quarter stays: a release in it may still be taken back by an event that hasn't come.
    const uint64_t end = head - header->ring_capacity / 4;
    Failures failures;
    for (uint64_t position = tail; position < head; ++position) {
        const Event* event = wire::event_at(header, position);
        if (wire::is_committed(event, position) && phase(*event) == Phase::kFailed)
            failures.add(event->refers_to);
    }
    if (backlog.wants_squeeze(end - tail)) backlog.squeeze();
    uint64_t position = tail;
    for (; position < end; ++position) {
        const Event* event = wire::event_at(header, position);
        const bool is_lost = wire::is_given_up(event, position);
        if (is_lost) __atomic_fetch_add(&header->events_lost, 1, __ATOMIC_RELAXED);
        if (!is_lost && !wire::is_committed(event, position)) break;  // a thread is just writing it
        if (!is_lost && !backlog.take(*event, !failures.holds(position))) {
            index.stuck_at = position + 1;
            break;
        }
        // Before the slot is freed: a reader starts at the later of the two, so that nothing is read twice.
        __atomic_store_n(&header->backlog_position, position + 1, __ATOMIC_RELEASE);
    }
    wire::free_until(header, position);
    if (position > tail) return Compaction::kMadeRoom;
    if (wire::is_committed(wire::event_at(header, tail), tail)) return Compaction::kNoRoom;
    return pass_hole(header, tail);
}

// A collector beats before it takes the lock, and holds it for milliseconds.
bool has_beaten_lately(const wire::Header* header) {
    const uint64_t beat = __atomic_load_n(&header->collector_beat_ns, __ATOMIC_RELAXED);
    return beat != 0 && clock_ns(kClockMonotonic) - beat < kSilentNs;
}

}  // namespace

Compaction compact(Channel& channel, OwnedRange* own_mapping) {
    wire::Header* header = channel.header();
    const SignalsBlocked signals_blocked;
    uint32_t holder = __atomic_load_n(&header->consumer_lock, __ATOMIC_RELAXED);
    if (holder == header->process_id) return Compaction::kBusy;
    // A collector holds the lock for as long as it copies; one that was killed meanwhile left it behind.
    // In another pid namespace a living one can't be told from a dead one, but for its beat.
    if (holder != 0 && (raw_syscall(kSysKill, holder, 0) != -ESRCH || has_beaten_lately(header))) {
        return Compaction::kBusy;
    }
    if (!__atomic_compare_exchange_n(&header->consumer_lock, &holder, header->process_id, false,
                                     __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        return Compaction::kBusy;
    }
    const Compaction outcome =
        have_index(channel, own_mapping) ? move_to_backlog(channel) : Compaction::kNoRoom;
    __atomic_store_n(&header->consumer_lock, 0, __ATOMIC_RELEASE);
    return outcome;
}

}  // namespace offheap::record
