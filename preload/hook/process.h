// This process's recording: one channel, made at the start or after a fork, and what every part of the hook
// shares.
#pragma once

#include <stdint.h>

#include "native/wire/layout.h"
#include "preload/record/channel.h"
#include "preload/runtime/configuration.h"
#include "preload/runtime/process_page.h"

namespace offheap::hook {

struct Process {
    runtime::ProcessPage* page = &runtime::no_process_page;
    runtime::Configuration configuration;
    record::Channel channel;
    record::Parent parent;  // what a child of this process will name as its parent
    uint32_t generation = 0;
    uint64_t program_break = 0;
    bool unwind_tables = true;
};

extern __attribute__((visibility("hidden"))) Process process;

// True while events are recorded in this process; starts a forked child's channel on its first event.
bool is_recording();

// Makes the channel, seeds it from /proc/self/maps and turns recording on.
bool start_recording(uint32_t degradations);

// Memory that the shim mapped for itself: part of the account, owned by the profiler.
void note_own_mapping(uint64_t address, uint64_t bytes);

// A range whose protection the shim has changed, for a moment or for good, and how it is now.
void note_own_protection(uint64_t address, uint64_t bytes, int protection);

}  // namespace offheap::hook
