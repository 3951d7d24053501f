// The heap of one channel: drained into a ledger, by a thread in the background and by whoever asks.
//
// All calls but start() and close() may fail when the channel was truncated or damaged; a failure of the
// background thread is that of the next call.
#pragma once

#include <stdint.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "native/addon/channel_file.h"
#include "native/addon/guarded_page.h"
#include "native/addon/heap_ledger.h"
#include "native/addon/heap_overlay.h"
#include "native/addon/heap_reader.h"
#include "native/addon/heap_windows.h"

namespace offheap::addon {

// A moment: the ledger with all that was told until then, and what rested in windows.
struct HeapView {
    std::vector<HeapDelta> overlay;
    std::vector<RestingBlock> resting;
    wire::Header header = {};
    uint64_t now = 0;  // by the channel's clock: what is older was taken in
    uint64_t events = 0;
    uint64_t lost = 0;
    uint64_t damaged = 0;
    bool resumed = false;
    double coarse_seconds = 0;  // of a unit of HeapLedger::coarse()
};

class HeapDrain {
  public:
    HeapDrain() = default;
    HeapDrain(const HeapDrain&) = delete;
    HeapDrain& operator=(const HeapDrain&) = delete;
    ~HeapDrain() { close(); }

    [[nodiscard]] MaybeFailure open(const std::string& path);
    // False for a channel without room for heap events.
    bool available() const { return ledger_ != nullptr; }

    void start();
    void close();

    // `events`: how many were taken in.
    [[nodiscard]] MaybeFailure drain(uint64_t& events);
    [[nodiscard]] MaybeFailure control(wire::HeapControl& control);
    [[nodiscard]] MaybeFailure set_mode(wire::HeapMode mode, uint32_t sample_bytes);

    // Calls `use(ledger, view)`, which may fail, with the present moment; while held, with the first one that
    // was asked for. Only where the heap is available.
    template <typename Use>
    [[nodiscard]] MaybeFailure look(Use use) {
        const std::lock_guard lock(mutex_);
        if (auto failure = take_failure()) return failure;
        if (auto failure = refresh()) return failure;
        return use(*ledger_, static_cast<const HeapView&>(view_));
    }
    // Nothing is taken in until it is let go.
    void hold();
    void let_go();

    // The target has ended: what rested in its windows is put into the ledger.
    [[nodiscard]] MaybeFailure finish();

  private:
    void run();
    void stop();
    void beat();
    MaybeFailure take_failure();
    [[nodiscard]] MaybeFailure round();
    [[nodiscard]] MaybeFailure refresh();
    [[nodiscard]] MaybeFailure take_in_with_windows(bool every);
    [[nodiscard]] MaybeFailure take_in(uint64_t until);
    void describe_view();
    void note_switch(uint64_t control, uint64_t switched_at, uint64_t now);
    uint64_t clock() const;
    // Now; what the target stamps from here on is younger.
    uint64_t moment();

    ChannelFile file_;
    GuardedPage page_;
    HeapReader reader_{file_, page_};
    std::unique_ptr<HeapLedger> ledger_;
    HeapWindows windows_;
    HeapView view_;
    wire::Header header_ = {};  // as it was last read; whether it counts ticks, as it was at first
    std::vector<wire::Lane> lanes_;
    bool counts_ticks_ = false;
    uint32_t coarse_shift_ = 0;
    uint32_t epoch_ = 0;
    uint64_t switched_at_ = 0;
    uint64_t taken_in_until_ = 0;
    size_t owed_to_look_ = 0;
    bool finished_ = false;
    bool held_ = false;
    bool seen_ = false;  // while held: the view is that moment

    std::mutex mutex_;
    std::condition_variable wake_;
    bool stopping_ = false;
    MaybeFailure failure_;
    std::thread thread_;
};

}  // namespace offheap::addon
