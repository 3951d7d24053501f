// What a file mapping with code means: its name for the collector, its range for the load generation, and its
// inline system calls for the site rewriter.
#pragma once

#include "native/wire/layout.h"
#include "preload/hook/system_call.h"

namespace offheap::hook {

// After a successful mmap; fills in the event's text.
void note_file_mapping(const SystemCallFrame& frame, uint64_t address, wire::Event* event);

// Rewrites inline sites of the libraries that this thread is loading and that match the configured names.
// Called when it changes a protection at or behind their start: the loader's last step before a library's
// first instruction runs, when all of its segments are in place. Where allocations come to us by import
// tables, the library's are redirected when the loader has bound and protected them.
void rewrite_pending_modules(uint32_t thread_id, uint64_t address);

// In a forked child: whoever held the lock or was loading a library stayed behind in the parent.
void restore_file_mappings_after_fork();

// Before a range goes away: a library whose load failed is not to be read any more.
void forget_pending_modules(uint64_t start, uint64_t bytes);

}  // namespace offheap::hook
