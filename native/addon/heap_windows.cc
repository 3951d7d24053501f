#include "native/addon/heap_windows.h"

#include <string.h>

#include <algorithm>
#include <tuple>

namespace offheap::addon {
namespace {

struct Copy {
    wire::HeapEvent window[wire::kWindowEvents];
    wire::Temporaries temporaries[wire::kTemporariesEntries];
};
static_assert(sizeof(Copy) == wire::kWindowBytes);

bool in_order(const RestingBlock& left, const RestingBlock& right) {
    return std::tie(left.address, left.time) < std::tie(right.address, right.time);
}

}  // namespace

MaybeFailure HeapWindows::read(const ChannelFile& file, const std::vector<wire::Lane>& lanes, uint64_t now,
                               bool every) {
    time_ = now;
    heads_.clear();
    for (const wire::Lane& lane : lanes) heads_.push_back(lane.head);
    blocks_.clear();
    temporaries_.clear();
    Copy copies[2];
    for (uint32_t lane = 0; lane < lanes.size(); ++lane) {
        if (lanes[lane].in_use == 0 && !every) continue;
        const uint64_t offset = file.windows().offset_bytes + uint64_t{lane} * wire::kWindowBytes;
        // [window]: an entry that is alike in two copies is whole.
        for (Copy& copy : copies) {
            if (auto failure = file.read(offset, &copy, sizeof copy)) return failure;
        }
        take_blocks(lanes[lane].thread_id, copies[0].window, copies[1].window);
        take_temporaries(lane, lanes[lane].thread_id, copies[0].temporaries, copies[1].temporaries);
    }
    std::sort(blocks_.begin(), blocks_.end(), in_order);
    return {};
}

void HeapWindows::take_blocks(uint32_t thread_id, const wire::HeapEvent* first,
                              const wire::HeapEvent* second) {
    for (uint32_t entry = 0; entry < wire::kWindowEvents; ++entry) {
        const wire::HeapEvent& event = second[entry];
        if (event.address == 0 || memcmp(&first[entry], &event, sizeof event) != 0) continue;
        if (wire::heap_kind(event) != wire::HeapEventKind::kAllocation) continue;
        blocks_.push_back({wire::heap_address(event), event.time, event.bytes, event.stack, thread_id});
    }
}

void HeapWindows::take_temporaries(uint32_t lane, uint32_t thread_id, const wire::Temporaries* first,
                                   const wire::Temporaries* second) {
    for (uint32_t entry = 0; entry < wire::kTemporariesEntries; ++entry) {
        const wire::Temporaries& of_stack = second[entry];
        if (of_stack.count == 0 || memcmp(&first[entry], &of_stack, sizeof of_stack) != 0) continue;
        temporaries_.push_back({lane, thread_id, of_stack.stack, of_stack.count, of_stack.bytes});
    }
}

void HeapWindows::allocation(uint64_t address, uint64_t time) {
    if (time > time_) return;
    RestingBlock key;
    key.address = address;
    key.time = time;
    // Only the bytes tell that it was left out: the order must stay.
    for (auto at = std::lower_bound(blocks_.begin(), blocks_.end(), key, in_order);
         at != blocks_.end() && at->address == address && at->time == time; ++at) {
        at->bytes = UINT64_MAX;
    }
}

// Threads clear an entry before they publish it. One published since then may have been read here still.
void HeapWindows::temporaries(uint32_t lane, uint32_t stack, uint64_t position) {
    if (lane >= heads_.size() || position < heads_[lane]) return;
    std::erase_if(temporaries_, [=](const RestingTemporaries& resting) {
        return resting.lane == lane && resting.stack == stack;
    });
}

void HeapWindows::leave_out_published() {
    std::erase_if(blocks_, [](const RestingBlock& block) { return block.bytes == UINT64_MAX; });
}

}  // namespace offheap::addon
