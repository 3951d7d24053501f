// Where a lane's events go on: chunks from the common pool, and what to do when it has none.
#include <errno.h>

#include "preload/record/heap_publish.h"
#include "preload/record/signals_blocked.h"

namespace offheap::record {

using namespace offheap::runtime;
using wire::Chunk;
using wire::Header;
using wire::HeapControl;
using wire::HeapMode;

namespace {

constexpr int64_t kWaitStepNs = 100'000;
constexpr uint64_t kLongestWaitNs = 2'000'000'000;
constexpr uint64_t kSilentNs = 2'000'000'000;

bool has_free_chunk(Header* header) {
    const uint64_t* bits = wire::chunk_bits(header);
    for (uint64_t word = 0; word * 64 < header->chunks_capacity; ++word) {
        if (__atomic_load_n(&bits[word], __ATOMIC_RELAXED) != 0) return true;
    }
    return false;
}

void go_on_in(HeapLane& lane, Chunk* chunk, uint64_t events_before) {
    const uint64_t head = head_of(lane);
    lane.next = wire::events_of(chunk) + events_before;
    lane.end = wire::events_of(chunk) + wire::kChunkEvents;
    lane.head_of_next = head - reinterpret_cast<uint64_t>(lane.next) / sizeof(wire::HeapEvent);
}

// A lane that was another thread's goes on in the chunk that its events ended in, if that has room left. It
// is the lane's still: the collector gives a chunk back only once it links to another.
void go_on_in_last_chunk(Header* header, HeapLane& lane) {
    if (lane.chunk == 0) return;
    Chunk* chunk = wire::chunk_at(header, lane.chunk - 1);
    go_on_in(lane, chunk, head_of(lane) - chunk->first_position);
}

// Backed by memory, or kNoChunk.
uint32_t take_backed_chunk(Channel& channel) {
    const uint32_t number = wire::take_chunk(channel.header());
    if (number == wire::kNoChunk || channel.reserve_chunk(number)) return number;
    wire::give_chunk_back(channel.header(), number);
    return wire::kNoChunk;
}

bool go_on_in_new_chunk(Channel& channel, HeapLane& lane) {
    Header* header = channel.header();
    const uint32_t number = take_backed_chunk(channel);
    if (number == wire::kNoChunk) return false;
    Chunk* chunk = wire::chunk_at(header, number);
    chunk->first_position = head_of(lane);
    chunk->lane = lane.number;
    __atomic_store_n(&chunk->next, 0, __ATOMIC_RELAXED);
    // From the moment of the link on, the chunk before may be given back and be another lane's.
    uint32_t* link =
        lane.chunk == 0 ? &lane.lane->first_chunk : &wire::chunk_at(header, lane.chunk - 1)->next;
    __atomic_store_n(&lane.lane->last_chunk, number + 1, __ATOMIC_RELAXED);
    __atomic_store_n(link, number + 1, __ATOMIC_RELEASE);  // [head]: linked before the head moves into it
    lane.chunk = number + 1;
    go_on_in(lane, chunk, 0);
    return true;
}

bool go_on(Channel& channel, HeapLane& lane) {
    const SignalsBlocked signals_blocked;
    if (lane.end == nullptr) go_on_in_last_chunk(channel.header(), lane);
    if (lane.next == lane.end && !go_on_in_new_chunk(channel, lane)) return false;
    if (lane.untold_thread == 0) return true;
    *lane.next = {wire::heap_word(wire::HeapEventKind::kThread, 0), next_time(channel, lane), 0, 0,
                  lane.untold_thread};
    commit(lane);
    show(lane);
    lane.untold_thread = 0;
    return lane.next != lane.end || go_on_in_new_chunk(channel, lane);
}

bool collector_lives(const Header* header) {
    const uint64_t beat_ns = __atomic_load_n(&header->heap_beat_ns, __ATOMIC_RELAXED);
    const auto awaited = static_cast<long>(header->awaited_process_id);
    if (beat_ns == 0) return awaited != 0 && raw_syscall(kSysKill, awaited, 0) != -ESRCH;
    if (__atomic_load_n(&header->collector_process_id, __ATOMIC_RELAXED) == 0) return false;
    // Signed: the beat may be younger than our look at the clock.
    return static_cast<int64_t>(clock_ns(kClockMonotonic) - beat_ns) < static_cast<int64_t>(kSilentNs);
}

bool is_exact(const Header* header) {
    const uint64_t word = __atomic_load_n(&header->heap_control, __ATOMIC_ACQUIRE);  // [switch]
    return wire::unpack_heap_control(word).mode == HeapMode::kExact;
}

void raise_kept_time(Header* header, uint64_t time) {
    uint64_t kept = __atomic_load_n(&header->heap_time, __ATOMIC_RELAXED);
    while (kept != 0 && kept < time &&
           !__atomic_compare_exchange_n(&header->heap_time, &kept, time, /*weak=*/true, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED)) {  // [time]
    }
}

void switch_to_sampled(Channel& channel) {
    Header* header = channel.header();
    uint64_t word = __atomic_load_n(&header->heap_control, __ATOMIC_ACQUIRE);  // [switch]
    for (;;) {
        HeapControl control = wire::unpack_heap_control(word);
        if (control.mode != HeapMode::kExact) return;
        control.mode = HeapMode::kSampled;
        ++control.epoch;
        if (control.sample_bytes == 0) control.sample_bytes = HeapControl().sample_bytes;
        // Before the switch, so that who sees the new word finds its time. Where another thread is first, the
        // two times mean the same switch.
        const uint64_t now = channel.now();
        __atomic_store_n(&header->heap_switched_at, now, __ATOMIC_RELAXED);
        raise_kept_time(header, now + 1);
        // [switch]: the release orders `heap_switched_at`; partners: the acquire loads of the word here and
        // in the collector.
        if (__atomic_compare_exchange_n(&header->heap_control, &word, wire::pack(control), /*weak=*/false,
                                        __ATOMIC_RELEASE, __ATOMIC_ACQUIRE)) {
            break;
        }
    }
    channel.degrade(wire::Degradation::kHeapOverrun);
}

// Steps of a wait for chunks that a living collector gives back. False: nothing to wait for any more.
class Wait {
  public:
    bool step(Header* header) {
        if (!is_exact(header) || !collector_lives(header)) return false;
        const uint64_t now_ns = clock_ns(kClockMonotonic);
        if (since_ns_ == 0) {
            since_ns_ = now_ns;
            __atomic_fetch_add(&header->heap_waits, 1, __ATOMIC_RELAXED);
        }
        if (now_ns - since_ns_ >= kLongestWaitNs) return false;
        const int64_t pause[2] = {0, kWaitStepNs};
        raw_syscall(kSysNanosleep, as_argument(pause));
        return true;
    }

  private:
    uint64_t since_ns_ = 0;
};

}  // namespace

void doubt_kept_time(Channel& channel) {
    // A quarter of a second and more; collectors keep the time twenty times a second.
    constexpr uint64_t kSilentTicks = 1ULL << 30;
    uint64_t kept = kept_time(channel);
    if (kept == 0 || static_cast<int64_t>(channel.now() - kept) < static_cast<int64_t>(kSilentTicks)) return;
    // Nobody keeps it any more. Whoever does so again begins anew.
    __atomic_compare_exchange_n(&channel.header()->heap_time, &kept, 0, /*weak=*/false, __ATOMIC_RELAXED,
                                __ATOMIC_RELAXED);
}

bool make_place(Channel& channel, HeapLane& lane) {
    Wait wait;
    do {
        // Where all events are lost, losing one must be cheap: no signals are blocked then.
        const bool may_go_on = (lane.end == nullptr && lane.chunk != 0) || has_free_chunk(channel.header());
        if (may_go_on && go_on(channel, lane)) return true;
    } while (wait.step(channel.header()));
    switch_to_sampled(channel);
    __atomic_fetch_add(&lane.lane->events_lost, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&channel.header()->heap_events_lost, 1, __ATOMIC_RELAXED);
    return false;
}

}  // namespace offheap::record
