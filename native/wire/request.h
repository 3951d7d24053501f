// What the collector asks of the target's threads: to call a function of its allocator, which only the target
// can do, and only where its thread holds none of the allocator's locks.
//
// The collector writes `request` and its argument, then sets kRequestedBit in `heap_control`, the word that
// every call of an allocator looks at anyway. The first thread that comes by at a place where the function
// may be called takes the bit away, and with that the request is its own: it names it in `request_taken`,
// does what is asked, writes the answer, and names the request in `request_answered`. Threads that come by
// where it may not be called leave the bit and count in `request_passes`. The collector takes a request back
// by taking the bit away itself. While `request_taken` and `request_answered` differ, no new one is written.
//
// `answer_source` and `answer_values` mean what the kind says:
//   trim: MemoryReturn, by which function; [0] what it returned.
//   statistics: StatisticsSource; the figures in the order of that allocator's list in layout.h.
//   size classes: SizeRounding; the sizes that blocks of `request_argument` bytes and more have, rising, then
//   zeros.
//
// Memory orders (cited at both ends):
//   [request]  collector's release of the bit -> thread's acquire exchange: `request` and its argument are
//              written.
//   [answer]   thread's release store of `request_answered` -> collector's read of it, by pread() or an
//   acquire
//              load: the answer before it is whole.
#pragma once

#include "native/wire/heap.h"
#include "native/wire/layout.h"

namespace offheap::wire {

inline constexpr uint32_t kAnswerValues = sizeof(Header::answer_values) / sizeof(uint64_t);
static_assert(static_cast<uint32_t>(JemallocStatistic::kCount) <= kAnswerValues &&
              static_cast<uint32_t>(TcmallocStatistic::kCount) <= kAnswerValues);

// `request`: its kind, and a number that no other of this channel has; never 0.
constexpr uint64_t pack_request(RequestKind kind, uint64_t number) {
    return static_cast<uint64_t>(kind) | number << 8;
}
constexpr RequestKind request_kind(uint64_t request) {
    const auto kind = static_cast<uint8_t>(request);
    return kind < static_cast<uint8_t>(RequestKind::kCount) ? static_cast<RequestKind>(kind)
                                                            : RequestKind::kNothing;
}

}  // namespace offheap::wire
