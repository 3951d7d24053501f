// The mappings that were there before recording began, read from /proc/self/maps.
#pragma once

#include <stdint.h>

#include "preload/record/channel.h"

namespace offheap::record {

struct MapsLine {
    uint64_t start, end, offset, device, inode;
    int protection;  // PROT_*
    bool shared;
    const char* path;  // empty for anonymous memory; valid during the visit only
};

// Calls visit(context, line) for each line, in address order. False when not all could be read.
bool visit_maps(void (*visit)(void* context, const MapsLine& line), void* context);

// Emits a `seed` event for one line.
void emit_seed(Channel& channel, const MapsLine& line, uint32_t thread_id);

}  // namespace offheap::record
