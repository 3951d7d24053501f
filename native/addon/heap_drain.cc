#include "native/addon/heap_drain.h"

#include <signal.h>
#include <x86intrin.h>

#include <algorithm>
#include <chrono>

#include "native/addon/clock.h"
#include "native/addon/heap_columns.h"

namespace offheap::addon {
namespace {

using wire::Header;
using wire::HeapControl;
using wire::HeapMode;

constexpr auto kShortest = std::chrono::microseconds(500);
constexpr auto kLongest = std::chrono::milliseconds(50);
// A round shall bring about a megabyte: less costs calls, more costs the target memory and its cache.
constexpr uint64_t kFewEvents = 16 * wire::kChunkEvents;
constexpr uint64_t kManyEvents = 64 * wire::kChunkEvents;

// Releases that may be owed to nobody, before the windows are looked into for that alone.
constexpr size_t kOwedToLook = 4096;

// About 11 ms and 17 ms; 32 bits of them are more than a year.
constexpr uint32_t kCoarseShiftTicks = 25;
constexpr uint32_t kCoarseShiftNs = 24;

constexpr uint32_t kEpochMask = 0xffffff;

}  // namespace

MaybeFailure HeapDrain::open(const std::string& path) {
    if (auto failure = file_.open(path)) return failure;
    if (file_.lanes().capacity == 0) return {};
    if (auto failure = file_.read_header(header_)) return failure;
    if (!page_.map(file_.descriptor())) return damaged("the channel can't be mapped");
    counts_ticks_ = header_.clock == static_cast<uint32_t>(wire::Clock::kTimeStampCounter);
    coarse_shift_ = counts_ticks_ ? kCoarseShiftTicks : kCoarseShiftNs;
    owed_to_look_ = kOwedToLook;
    ledger_ = std::make_unique<HeapLedger>(
        HeapLedger::Settings{header_.start_clock, coarse_shift_, file_.nodes().capacity});
    return {};
}

uint64_t HeapDrain::clock() const {
    if (!counts_ticks_) return monotonic_ns();
    const uint64_t now = __rdtsc();
    _mm_lfence();  // not after what is read next
    return now;
}

uint64_t HeapDrain::moment() {
    const uint64_t now = clock();
    if (!counts_ticks_ || !available()) return now;
    // [time]: it never falls. A channel that was truncated shows in the round.
    uint64_t kept = 0;
    for (;;) {
        const uint64_t expected = kept;
        if (!page_.compare_exchange(offsetof(Header, heap_time), kept, now + 1) || kept == expected) break;
        if (kept > now) break;
    }
    _mm_mfence();
    return now;
}

void HeapDrain::start() {
    if (!available() || !file_.is_open() || thread_.joinable() || finished_) return;
    // Signals are for the program's own threads. A fault is this thread's whatever the mask says.
    sigset_t all, before;
    sigfillset(&all);
    for (const int fault : {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP}) sigdelset(&all, fault);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    stopping_ = false;
    thread_ = std::thread([this] { run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void HeapDrain::run() {
    std::unique_lock lock(mutex_);
    std::chrono::microseconds delay = kShortest;
    while (!stopping_) {
        const uint64_t before = reader_.events();
        beat();
        if (!held_) {
            failure_ = round();
            if (failure_) return;
        }
        const uint64_t events = reader_.events() - before;
        if (events < kFewEvents) delay = std::min<std::chrono::microseconds>(2 * delay, kLongest);
        if (events > kManyEvents) delay = std::max(delay / 2, kShortest);
        wake_.wait_for(lock, delay, [this] { return stopping_; });
    }
}

void HeapDrain::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
}

void HeapDrain::close() {
    stop();
    if (thread_.joinable()) thread_.join();
    // Nothing is lost where the file was truncated meanwhile.
    if (file_.is_open() && available()) {
        static_cast<void>(reader_.note_tails());
        static_cast<void>(page_.store_release(offsetof(Header, heap_time), uint64_t{0}));  // [time]
        static_cast<void>(page_.store_release(offsetof(Header, heap_beat_ns), uint64_t{1}));
    }
    page_.unmap();
    file_.close();
}

MaybeFailure HeapDrain::take_failure() {
    if (!file_.is_open()) return Failure{kChannelMissing, "the channel was closed"};
    return std::exchange(failure_, {});
}

void HeapDrain::hold() {
    const std::lock_guard lock(mutex_);
    held_ = true;
    seen_ = false;
}

void HeapDrain::let_go() {
    const std::lock_guard lock(mutex_);
    held_ = false;
}

// Everything that is published and not younger than `until`.
MaybeFailure HeapDrain::take_in(uint64_t until) {
    if (auto failure = file_.read_header(header_)) return failure;
    note_switch(header_.heap_control, header_.heap_switched_at, until);
    if (auto failure = reader_.read_lanes(header_.lanes_used, lanes_)) return failure;
    for (uint32_t lane = 0; lane < lanes_.size(); ++lane) ledger_->set_thread(lane, lanes_[lane].thread_id);
    if (auto failure = reader_.read(until, lanes_, *ledger_)) return failure;
    ledger_->settle(until);
    taken_in_until_ = until;
    return {};
}

// The target waits for a reader that lives; the thread reads on while the program that it belongs to is busy.
void HeapDrain::beat() {
    // A channel that was truncated shows in the round.
    if (!available()) return;
    static_cast<void>(page_.store_release(offsetof(Header, heap_beat_ns), monotonic_ns()));
    moment();
}

MaybeFailure HeapDrain::round() {
    if (finished_) return {};
    if (auto failure = take_in(moment())) return failure;
    if (ledger_->owed() < owed_to_look_) return {};
    if (auto failure = take_in_with_windows(/*every=*/false)) return failure;
    owed_to_look_ = std::max(kOwedToLook, 2 * ledger_->owed());
    return {};
}

MaybeFailure HeapDrain::take_in_with_windows(bool every) {
    const uint64_t now = moment();
    if (auto failure = file_.read_header(header_)) return failure;
    if (auto failure = reader_.read_lanes(header_.lanes_used, lanes_)) return failure;
    if (auto failure = windows_.read(file_, lanes_, now, every)) return failure;
    ledger_->set_watch(&windows_);
    // Of a target that has ended, nothing is too young.
    MaybeFailure failure = take_in(every ? UINT64_MAX : moment());
    ledger_->set_watch(nullptr);
    windows_.leave_out_published();
    if (!failure) ledger_->drop_unknown(every ? UINT64_MAX : now, windows_.blocks());
    return failure;
}

MaybeFailure HeapDrain::refresh() {
    if (held_ && seen_) return {};
    if (!finished_) {
        if (auto failure = take_in_with_windows(/*every=*/false)) return failure;
        view_.overlay = overlay(*ledger_, windows_);
        view_.resting = windows_.blocks();
        raise_peaks(*ledger_, view_.overlay);
    }
    describe_view();
    seen_ = true;
    return {};
}

void HeapDrain::describe_view() {
    view_.header = header_;
    view_.now = finished_ ? clock() : taken_in_until_;
    view_.events = reader_.events();
    view_.damaged = reader_.damaged() + ledger_->damaged();
    view_.resumed = reader_.resumed();
    view_.lost = header_.heap_events_lost;
    double seconds_per_tick = 1e-9;
    if (counts_ticks_) {
        const ClockSample sample = sample_clocks();
        const auto ticks = static_cast<double>(sample.tsc) - static_cast<double>(header_.start_clock);
        const auto ns =
            static_cast<double>(sample.monotonic_ns) - static_cast<double>(header_.start_monotonic_ns);
        seconds_per_tick = ticks > 0 && ns > 0 ? 1e-9 * ns / ticks : 0;
    }
    view_.coarse_seconds = seconds_per_tick * static_cast<double>(1ULL << coarse_shift_);
}

MaybeFailure HeapDrain::drain(uint64_t& events) {
    const std::lock_guard lock(mutex_);
    if (auto failure = take_failure()) return failure;
    const uint64_t before = reader_.events();
    beat();
    if (!held_ && available()) {
        if (auto failure = round()) return failure;
    }
    events = reader_.events() - before;
    return {};
}

MaybeFailure HeapDrain::finish() {
    // The thread is not waited for here: on a busy machine it takes its time, and the mutex keeps it off.
    stop();
    const std::lock_guard lock(mutex_);
    if (auto failure = take_failure()) return failure;
    if (!available() || finished_) return {};
    if (auto failure = take_in_with_windows(/*every=*/true)) return failure;
    settle_windows(*ledger_, windows_);
    // Whatever they were owed to, nothing comes any more.
    ledger_->drop_unknown(UINT64_MAX, {});
    view_.overlay.clear();
    view_.resting.clear();
    raise_peaks(*ledger_, view_.overlay);
    finished_ = true;
    return {};
}

// A switch that the target made, or an earlier collector.
void HeapDrain::note_switch(uint64_t word, uint64_t switched_at, uint64_t now) {
    const HeapControl control = wire::unpack_heap_control(word);
    const uint32_t steps = (control.epoch - epoch_) & kEpochMask;
    if (steps == 0) return;
    epoch_ = control.epoch;
    // Its time is stored beside it, maybe not yet.
    const bool told = switched_at > switched_at_ && switched_at <= clock();
    switched_at_ = told ? switched_at : std::min(now, clock());
    ledger_->expect_switch({switched_at_, switched_at_, control.mode, steps != 1});
}

MaybeFailure HeapDrain::control(HeapControl& control) {
    const std::lock_guard lock(mutex_);
    if (auto failure = take_failure()) return failure;
    if (!available()) return {};
    Header header;
    if (auto failure = file_.read_header(header)) return failure;
    control = wire::unpack_heap_control(header.heap_control);
    return {};
}

MaybeFailure HeapDrain::set_mode(HeapMode mode, uint32_t sample_bytes) {
    const std::lock_guard lock(mutex_);
    if (auto failure = take_failure()) return failure;
    if (!available() || finished_) return {};
    if (auto failure = file_.read_header(header_)) return failure;
    // Before the target learns that its events matter: the thread may not have had its first turn yet.
    beat();
    uint64_t word = header_.heap_control;
    for (;;) {
        note_switch(word, header_.heap_switched_at, clock());
        const HeapControl control = wire::unpack_heap_control(word);
        if (control.mode == mode && control.sample_bytes == sample_bytes) return {};
        const uint32_t epoch = (control.epoch + 1) & kEpochMask;
        const uint64_t expected = word;
        const uint64_t before = moment();
        if (!page_.compare_exchange(offsetof(Header, heap_control), word,
                                    wire::pack({mode, epoch, sample_bytes, control.requested}))) {
            return damaged("the channel was truncated");
        }
        if (word != expected) continue;  // the target was first
        epoch_ = epoch;
        switched_at_ = moment();
        ledger_->expect_switch({switched_at_, before, mode, false});
        if (!page_.store_release(offsetof(Header, heap_switched_at), switched_at_)) {
            return damaged("the channel was truncated");
        }
        return {};
    }
}

}  // namespace offheap::addon
