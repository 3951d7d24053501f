// The channel of this process: one file in a private folder of the shared-memory file system. It outlives the
// process, so what was recorded is still read after SIGKILL.
//
// Every byte is reserved before it is touched: on a full tmpfs an unreserved page would raise SIGBUS in the
// target.
#pragma once

#include <stdint.h>

#include "native/wire/layout.h"
#include "native/wire/stack_tree.h"
#include "preload/record/recent_children.h"
#include "preload/record/sections.h"
#include "preload/runtime/configuration.h"

namespace offheap::record {

struct Parent {
    bool forked = false;
    uint64_t channel_id = 0;
    uint64_t position = 0;  // in the parent's ring: the fork event
};

struct Text {
    const char* start;
    uint32_t bytes;
};

class Channel {
  public:
    // False when the folder or the file can't be made or isn't private to this user.
    bool create(const runtime::Configuration& configuration, const Parent& parent);

    wire::Header* header() const { return header_; }

    uint64_t now() const;

    // Makes sure that the next ring slots are backed; false while the file system is full.
    bool reserve_ring(uint64_t position);
    bool reserve_backlog(uint64_t slot);
    // A lane's entry, window and temporaries; at once for one that was reserved before.
    bool reserve_lane(uint32_t lane);
    bool reserve_chunk(uint32_t chunk);

    // The stack tree's node for a frame called from `parent`; 0 when there is no room for a new one.
    uint32_t intern(uint32_t parent, uint64_t key) {
        return stacks_.intern(parent, key,
                              [this](uint64_t offset, uint64_t bytes) { return make_backed(offset, bytes); });
    }

    // The same for a thread that has looked for others.
    uint32_t intern(uint32_t parent, uint64_t key, RecentChildren& recent) {
        const uint32_t first = stacks_.first_child(parent);
        if (first == 0) return intern(parent, key);
        if (stacks_.key(first) == key) return first;
        const uint32_t known = recent.find(header_->channel_id, parent, key);
        if (known != 0) return known;
        const uint32_t child = intern(parent, key);
        if (child != 0) recent.note(header_->channel_id, parent, key, child);
        return child;
    }

    bool has_child(uint32_t node) const { return stacks_.first_child(node) != 0; }

    // Stores a text once per call and returns its offset, 0 when there is no room (and says so in the
    // header).
    uint32_t add_text(const char* text, uint64_t length);

    // Takes the file's name away; who has it open reads on.
    void remove();

    void degrade(wire::Degradation reason);

    // The address range that the channel occupies in the target.
    uint64_t address() const { return reinterpret_cast<uint64_t>(header_); }
    uint64_t bytes() const { return bytes_; }

  private:
    bool open_file(const runtime::Configuration& configuration);
    long make_file(const char* directory, uint64_t& channel_id);
    bool make_backed(uint64_t offset, uint64_t bytes);
    void describe_process();

    wire::Header* header_ = nullptr;
    wire::StackTree stacks_;
    uint64_t bytes_ = 0;
    uint64_t text_reserved_ = 0;
    uint64_t backlog_reserved_ = 0;
    uint64_t lanes_backed_[kMostLanes / 64] = {};  // one bit each
    char path_[320] = {};
};

}  // namespace offheap::record
