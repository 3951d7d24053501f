#include "preload/unwind/recurring_stacks.h"

namespace offheap::unwind {

RememberedStack& RecurringStacks::place_for(const CaptureStart& start) {
    Set& set = sets_[set_of(start)];
    if (set.stacks[set.latest] != nullptr) set.latest = kWays - 1 - set.latest;
    RememberedStack*& stack = set.stacks[set.latest];
    if (stack == nullptr) {
        Place& place = places_[used_++];
        place.stack.place(place.memory, kMostFrames);
        stack = &place.stack;
    }
    return *stack;
}

void RecurringStacks::forget() {
    for (Set& set : sets_) set = {};
    used_ = 0;
}

}  // namespace offheap::unwind
