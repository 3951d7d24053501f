#include "preload/hook/executable_ranges.h"

namespace offheap::hook {

namespace {

// Readers look while a writer shifts the list. [ranges] A reader that sees anything of a write sees its odd
// version too: the writer's stores are releases, the reader's loads acquires. The writer alone reads as it
// likes.
uint64_t load(const uint64_t& value) { return __atomic_load_n(&value, __ATOMIC_ACQUIRE); }
void store(uint64_t* to, uint64_t value) { __atomic_store_n(to, value, __ATOMIC_RELEASE); }

}  // namespace

void ExecutableRanges::put(uint32_t at, uint64_t start, uint64_t end) {
    store(&ranges_[at].start, start);
    store(&ranges_[at].end, end);
}

bool ExecutableRanges::begin_write() {
    uint32_t version = __atomic_load_n(&version_, __ATOMIC_RELAXED);
    if ((version & 1) != 0) return false;
    return __atomic_compare_exchange_n(&version_, &version, version + 1, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

void ExecutableRanges::end_write() {
    // [ranges] partner: the acquire loads of `version_` in overlaps().
    __atomic_add_fetch(&version_, 1, __ATOMIC_RELEASE);
}

uint32_t ExecutableRanges::first_ending_behind(uint64_t address, uint32_t count) const {
    uint32_t low = 0;
    uint32_t high = count;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (load(ranges_[middle].end) > address) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

bool ExecutableRanges::add(uint64_t start, uint64_t end) {
    if (!begin_write()) return false;
    const uint32_t at = first_ending_behind(start, count_);
    const bool fits = count_ < kCapacity && (at == count_ || ranges_[at].start >= end);
    if (fits) {
        for (uint32_t i = count_; i > at; --i) put(i, ranges_[i - 1].start, ranges_[i - 1].end);
        put(at, start, end);
        __atomic_store_n(&count_, count_ + 1, __ATOMIC_RELEASE);
    }
    end_write();
    return fits;
}

bool ExecutableRanges::remove(uint64_t start, uint64_t end) {
    if (!overlaps(start, end) || !begin_write()) return false;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count_; ++i) {
        const Range range = ranges_[i];
        if (range.end <= start || range.start >= end) put(kept++, range.start, range.end);
    }
    const bool removed = kept != count_;
    __atomic_store_n(&count_, kept, __ATOMIC_RELEASE);
    end_write();
    return removed;
}

bool ExecutableRanges::overlaps(uint64_t start, uint64_t end) const {
    for (int attempt = 0; attempt < 8; ++attempt) {
        const uint32_t before = __atomic_load_n(&version_, __ATOMIC_ACQUIRE);  // [ranges]
        const uint32_t count = __atomic_load_n(&count_, __ATOMIC_ACQUIRE);
        const uint32_t at = first_ending_behind(start, count);
        const bool found = at < count && load(ranges_[at].start) < end;
        if ((before & 1) == 0 && __atomic_load_n(&version_, __ATOMIC_RELAXED) == before) return found;
    }
    return true;  // a writer is at work: a needless new generation is harmless, a missed one is not
}

bool ExecutableRanges::reset_if_torn() {
    if ((version_ & 1) == 0) return false;
    count_ = 0;
    end_write();
    return true;
}

}  // namespace offheap::hook
