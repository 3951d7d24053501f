#include "preload/python/recurring_frames.h"

namespace offheap::python {

RecurringFrames::Chain& RecurringFrames::room_for(uint32_t count, uint64_t place) {
    Chain& chain = chains_[place];
    chain.node = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (chain.room >= count) return chain;
    if (count > kFrames - used_) forget();
    chain.start = used_;
    chain.room = count;
    used_ += count;
    return chain;
}

void RecurringFrames::forget() {
    if (used_ == 0) return;
    for (Chain& chain : chains_) chain = {};
    used_ = 0;
}

}  // namespace offheap::python
