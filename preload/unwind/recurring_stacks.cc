#include "preload/unwind/recurring_stacks.h"

namespace offheap::unwind {

RememberedStack* RecurringStacks::keep(const CaptureStart& start, const RememberedStack& captured) {
    const uint32_t label = captured.label();
    if (label == 0 || captured.count() > kMostFrames || !captured.can_stand()) return nullptr;
    const uint64_t hash = hash_of(start);
    Set& set = sets_[set_of(hash)];
    if (!was_seen(set, label)) return nullptr;
    RememberedStack& stack = place_in(set, hash);
    return stack.copy(captured) ? &stack : nullptr;
}

// Whether a stack of this label was noted of late. If not, it is now.
bool RecurringStacks::was_seen(Set& set, uint32_t label) {
    for (uint32_t& seen : set.seen) {
        if (seen != label) continue;
        seen = 0;
        return true;
    }
    set.seen[set.next_seen++ % kSeen] = label;
    return false;
}

// In turns, but for the one that was found last.
RememberedStack& RecurringStacks::place_in(Set& set, uint64_t hash) {
    const uint32_t way = (set.latest + 1u) % kWays;
    set.latest = static_cast<uint16_t>(way);
    set.starts[way] = start_of(hash);
    if (set.places[way] == 0) {
        Place& place = places_[used_++];
        place.stack.place(place.memory, kMostFrames);
        set.places[way] = static_cast<uint16_t>(used_);
    }
    return places_[set.places[way] - 1].stack;
}

void RecurringStacks::forget() {
    for (Set& set : sets_) set = {};
    used_ = 0;
}

}  // namespace offheap::unwind
