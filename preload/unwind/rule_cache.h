// Frame → rule, for the whole process, without locks.
//
// A fixed table in .bss, 512 KiB of address space of which only the touched pages become resident. Two words
// hold an entry; each is written on its own, so a reader may see one thread's first word beside another's
// second. The first word is therefore mixed from all of the entry (frame, epoch, rule): words that do not
// belong together do not match, and are a miss. That is why relaxed orders suffice.
#pragma once

#include <stdint.h>

#include "preload/unwind/rule.h"

namespace offheap::unwind {

class RuleCache {
  public:
    // Part of every entry's check; a new one makes all entries misses.
    // [epoch] acquire: pairs with the release in invalidate(), so that what a look-up under the new epoch
    // reads of the modules is what was there after the unload.
    uint64_t epoch() const { return __atomic_load_n(&epoch_, __ATOMIC_ACQUIRE); }

    // A new one makes remembered stacks useless. It comes behind a new epoch(): a stack whose walk has seen
    // it rests on no older rule.
    uint64_t stacks_epoch() const { return __atomic_load_n(&stacks_epoch_, __ATOMIC_ACQUIRE); }

    void invalidate_stacks() { __atomic_fetch_add(&stacks_epoch_, 1, __ATOMIC_RELEASE); }  // [epoch]

    void invalidate() {
        __atomic_fetch_add(&epoch_, kEpochStep, __ATOMIC_RELEASE);  // [epoch]
        invalidate_stacks();
    }

    // The frame's rule, or kind `none`.
    Rule find(uint64_t frame, uint64_t epoch) const {
        const Entry* set = set_of(frame);
        const uint64_t bits = __atomic_load_n(&set->rule, __ATOMIC_RELAXED);
        if (__builtin_expect(__atomic_load_n(&set->check, __ATOMIC_RELAXED) == check(frame, epoch, bits),
                             1)) {
            return Rule(bits);
        }
        for (uint32_t way = 1; way < kWays; ++way) {
            const uint64_t other_bits = __atomic_load_n(&set[way].rule, __ATOMIC_RELAXED);
            if (__atomic_load_n(&set[way].check, __ATOMIC_RELAXED) == check(frame, epoch, other_bits)) {
                return Rule(other_bits);
            }
        }
        return Rule(RuleKind::none);
    }

    // `epoch` is the one that was read before the rule was compiled: if modules were unloaded since, it is
    // stale, and the entry never matches.
    void insert(uint64_t frame, uint64_t epoch, Rule rule) {
        Entry* set = const_cast<Entry*>(set_of(frame));
        // Newest first: what was compiled last is likely to be walked again soon.
        for (uint32_t way = kWays - 1; way > 0; --way) {
            store(set[way], __atomic_load_n(&set[way - 1].check, __ATOMIC_RELAXED),
                  __atomic_load_n(&set[way - 1].rule, __ATOMIC_RELAXED));
        }
        store(set[0], check(frame, epoch, rule.bits()), rule.bits());
    }

  private:
    struct Entry {
        uint64_t check;
        uint64_t rule;
    };
    static constexpr uint32_t kWays = 4;  // one cache line
    static constexpr uint32_t kSets = 8192;
    static constexpr uint64_t kEpochStep = 0x9e3779b97f4a7c15;  // odd, so 2^64 epochs pass before one returns
    static constexpr uint64_t kRuleMix = 0xd6e8feb86659fd93;

    static uint64_t check(uint64_t frame, uint64_t epoch, uint64_t rule) {
        return frame ^ epoch ^ rule * kRuleMix;
    }

    // Calls near each other share sets' pages, so the table's pages in use follow the code's.
    const Entry* set_of(uint64_t frame) const {
        constexpr uint64_t kSetBytes = kWays * sizeof(Entry);
        const uint64_t offset_bytes = ((frame << 2) ^ (frame >> 11)) & ((kSets - 1) * kSetBytes);
        return reinterpret_cast<const Entry*>(reinterpret_cast<const char*>(entries_) + offset_bytes);
    }

    static void store(Entry& entry, uint64_t check, uint64_t rule) {
        __atomic_store_n(&entry.rule, rule, __ATOMIC_RELAXED);
        __atomic_store_n(&entry.check, check, __ATOMIC_RELAXED);
    }

    alignas(64) Entry entries_[kSets * kWays];
    uint64_t epoch_;
    uint64_t stacks_epoch_;
};

extern __attribute__((visibility("hidden"))) RuleCache rule_cache;

}  // namespace offheap::unwind
