// The kernel's own account of what a process maps: perf records of its threads, in rings that the process
// can't reach.
//
// There is one record for each mapping that is made (mmap, shmat, a growing brk, remap_file_pages, what the
// kernel makes for aio), and one for each area whose protection a call of mprotect changes. What is unmapped
// or moved has none. The main stack's growth is left out: it is no call.
#pragma once

#include <stdint.h>

#include <optional>
#include <vector>

#include "native/addon/address_range.h"
#include "native/addon/clock.h"
#include "native/addon/failure.h"

namespace offheap::addon {

inline constexpr char kWitnessRefused[] = "WITNESS_REFUSED";

struct WitnessedArea {
    // As it is after the call: a new mapping may have become one with its neighbours.
    AddressRange range;
    uint32_t thread_id;
    uint32_t protection;  // PROT_READ and the like
    // During the call, by the clock that events are stamped with.
    uint64_t time;
};

// What events are stamped with: the processor's counter, or CLOCK_MONOTONIC.
enum class EventTime { kTsc, kMonotonic };

struct WitnessedMappings {
    std::vector<WitnessedArea> areas;
    // Records that found no room since the witness was opened; of any kind.
    uint64_t lost = 0;
    // The process has called exec: what came since is another program's, and `areas` may be.
    bool replaced = false;
};

class PerfWitness {
  public:
    PerfWitness() = default;
    PerfWitness(const PerfWitness&) = delete;
    PerfWitness& operator=(const PerfWitness&) = delete;
    ~PerfWitness() { close(); }

    // Listens to all threads that the process has and will have, not to its children.
    MaybeFailure open(int process_id, EventTime time);
    // What came since the last time, of each processor in order.
    WitnessedMappings read();
    // From now on the target pays nothing more.
    void close();

  private:
    MaybeFailure listen(const std::vector<int>& thread_ids);
    void read_ring(uint8_t* ring, WitnessedMappings& found);
    void convert_times(WitnessedMappings& found);

    int process_id_ = 0;
    EventTime time_ = EventTime::kMonotonic;
    // The kernel knows the counter no better than we do: what lies between two readings of both clocks is
    // known as well as they are.
    ClockSample earlier_ = {};
    ClockSample later_ = {};
    std::vector<int> events_;
    std::vector<uint8_t*> rings_;
    uint64_t lost_ = 0;
    bool replaced_ = false;
};

}  // namespace offheap::addon
