#include "preload/record/backlog.h"

#include <sys/mman.h>

#include "native/wire/ring.h"
#include "preload/runtime/clock.h"
#include "preload/runtime/raw_syscall.h"

namespace offheap::record {

using namespace offheap::runtime;
using wire::Event;
using wire::Operation;
using wire::Phase;

namespace {

constexpr uint32_t kIndexEntries = 1u << 16;
constexpr uint32_t kMaxFailures = 64;
constexpr uint64_t kManyCancelled = 8192;
constexpr uint64_t kCollectorAliveNs = 2'000'000'000;

Operation operation(const Event& event) { return static_cast<Operation>(event.operation); }
Phase phase(const Event& event) { return static_cast<Phase>(event.phase); }
uint64_t pages(uint64_t bytes) { return (bytes + 4095) / 4096; }

// Where the live mapping that begins at an address stands in the backlog. A hint: what it forgets is merely
// not cancelled. Private to this process and guarded by the channel's consumer lock.
struct Index {
    struct Entry {
        uint32_t epoch;
        uint32_t slot;
    };
    Entry* entries = nullptr;
    uint32_t epoch = 1;  // raised to forget everything
    uint64_t channel_id = 0;
    uint64_t salt = 0;
    uint64_t cancelled = 0;  // records in the backlog that await a squeeze

    Entry& at(uint64_t address) const {
        const uint64_t hash = (address >> 12 ^ salt) * 0x9e3779b97f4a7c15ULL;
        return entries[hash >> 48 & (kIndexEntries - 1)];
    }
    void forget() { ++epoch; }
    void set(uint64_t address, uint32_t slot) { at(address) = {epoch, slot}; }
};
Index index;

bool have_index(Channel& channel, OwnedRange* own_mapping) {
    if (index.entries == nullptr) {
        constexpr uint64_t bytes = kIndexEntries * sizeof(Index::Entry);
        const long address =
            raw_syscall(kSysMmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (is_error(address)) return false;
        index.entries = reinterpret_cast<Index::Entry*>(address);
        *own_mapping = {static_cast<uint64_t>(address), bytes};
    }
    // A child after fork has a channel of its own, and a collector may have emptied the backlog.
    const wire::Header* header = channel.header();
    if (index.channel_id != header->channel_id || header->backlog_used == 0) {
        index.forget();
        index.channel_id = header->channel_id;
        index.cancelled = 0;
    }
    return true;
}

class Backlog {
  public:
    explicit Backlog(Channel& channel)
        : channel_(channel),
          header_(channel.header()),
          events_(reinterpret_cast<Event*>(channel.address() + header_->backlog_offset)) {}

    // When there may be too little room, or most of what is held says nothing any more.
    bool wants_squeeze(uint64_t coming) const {
        return header_->backlog_capacity - header_->backlog_used < coming ||
               (index.cancelled > kManyCancelled && index.cancelled > header_->backlog_used / 2);
    }

    // Drops what was cancelled and what cancels now, in place and in order: were we killed half-way, the
    // reader would see some events twice, with sequences that don't rise, and skip those.
    void squeeze() {
        const uint64_t used = header_->backlog_used;
        index.forget();
        index.cancelled = 0;
        index.salt += 0x51ed270b;  // other collisions than last time
        uint64_t kept = 0;
        for (uint64_t i = 0; i < used; ++i) {
            const Event event = events_[i];
            if (operation(event) == Operation::kNone || cancels(event)) continue;
            events_[kept] = event;
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
        remember(event, static_cast<uint32_t>(slot));
        __atomic_store_n(&header_->backlog_used, slot + 1, __ATOMIC_RELEASE);
        return true;
    }

  private:
    // The usual case, a mapping given back soon, then takes no room at all.
    void drop_cancelled_end() {
        uint64_t used = header_->backlog_used;
        while (used > 0 && operation(events_[used - 1]) == Operation::kNone) {
            --used;
            --index.cancelled;
        }
        __atomic_store_n(&header_->backlog_used, used, __ATOMIC_RELEASE);
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
        Index::Entry& entry = index.at(event.arg0);
        if (entry.epoch != index.epoch || entry.slot >= header_->backlog_used) return false;
        Event& mapped = events_[entry.slot];
        if (operation(mapped) != Operation::kMmap || mapped.result != event.arg0) return false;
        if (pages(mapped.arg1) != pages(event.arg1)) return false;
        mapped.operation = static_cast<uint8_t>(Operation::kNone);
        ++index.cancelled;
        entry.epoch = 0;
        header_->events_cancelled += 2;
        return true;
    }

    void remember(const Event& event, uint32_t slot) {
        switch (operation(event)) {
            case Operation::kMmap: {
                constexpr uint64_t kHugePages = MAP_HUGETLB;
                if ((event.arg3 & MAP_FIXED) != 0) {
                    index.forget();  // it may lie inside a mapping whose unmapping must then stay
                } else if ((event.arg3 & kHugePages) == 0 && event.text == 0) {
                    index.set(event.result, slot);
                }
                return;
            }
            case Operation::kMremap:
            case Operation::kShmat:
            case Operation::kShmdt:
            case Operation::kRemapFilePages:
                index.forget();
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

bool move_to_backlog(Channel& channel) {
    wire::Header* header = channel.header();
    const uint64_t tail = __atomic_load_n(&header->ring_tail, __ATOMIC_RELAXED);
    const uint64_t head = __atomic_load_n(&header->ring_head, __ATOMIC_RELAXED);
    // The newest quarter stays: a release in it may still be taken back by an event that hasn't come.
    const uint64_t end = head - header->ring_capacity / 4;
    Failures failures;
    for (uint64_t position = tail; position < head; ++position) {
        const Event* event = wire::event_at(header, position);
        if (wire::is_committed(event, position) && phase(*event) == Phase::kFailed)
            failures.add(event->refers_to);
    }
    Backlog backlog(channel);
    if (backlog.wants_squeeze(end - tail)) backlog.squeeze();
    uint64_t position = tail;
    for (; position < end; ++position) {
        const Event* event = wire::event_at(header, position);
        if (!wire::is_committed(event, position)) break;  // a thread is just writing it
        if (!backlog.take(*event, !failures.holds(position))) break;
        // Before the slot is freed: a reader starts at the later of the two, so that nothing is read twice.
        __atomic_store_n(&header->backlog_position, position + 1, __ATOMIC_RELEASE);
    }
    wire::free_until(header, position);
    return position > tail;
}

}  // namespace

bool collector_is_alive(const wire::Header* header) {
    const uint64_t beat = __atomic_load_n(&header->collector_beat_ns, __ATOMIC_RELAXED);
    return beat != 0 && clock_ns(kClockMonotonic) - beat < kCollectorAliveNs;
}

Compaction compact(Channel& channel, OwnedRange* own_mapping) {
    wire::Header* header = channel.header();
    uint32_t holder = __atomic_load_n(&header->consumer_lock, __ATOMIC_RELAXED);
    if (holder == header->process_id) return Compaction::kBusy;
    // A collector that was killed leaves its lock behind; one that is merely slow is told when it comes back.
    if (holder != 0 && collector_is_alive(header)) return Compaction::kCollected;
    // The same lock that a collector claims: there is one consumer at any time.
    if (!__atomic_compare_exchange_n(&header->consumer_lock, &holder, header->process_id, false,
                                     __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        return Compaction::kBusy;
    }
    const bool moved = have_index(channel, own_mapping) && move_to_backlog(channel);
    __atomic_store_n(&header->consumer_lock, 0, __ATOMIC_RELEASE);
    return moved ? Compaction::kMadeRoom : Compaction::kNoRoom;
}

}  // namespace offheap::record
