// Entries by address, millions of them: open addressing, no pointers, no tombstones, little slack.
//
// An address is mixed into a key of 44 bits, one to one. A key's home slot rises with the key, and entries
// stand in the order of their keys, each at its home or as near behind it as there is room. So a search ends
// at the first greater key, what follows an erased entry moves up only until one stands at its home, and a
// table grows by being copied from front to back.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <utility>
namespace offheap::addon {

inline constexpr uint32_t kAddressKeyBits = 44;
inline constexpr uint64_t kAddressKeyMask = (1ULL << kAddressKeyBits) - 1;

// Odd; chosen at random, so that a target can't choose addresses whose keys lie together.
inline uint64_t g_address_factor = 0x9e37'79b9'7f4a'7c15ULL;
void choose_address_factor();

// Of a multiple of 8 below 2^47. Each step can be undone, so the key stands for the address; only 0 gives 0.
inline uint64_t address_key(uint64_t address) {
    uint64_t key = address >> 3;
    key ^= key >> 22;
    key = key * g_address_factor & kAddressKeyMask;
    key ^= key >> 22;
    key = key * 0xd6e8'feb8'6659'fd93ULL & kAddressKeyMask;
    return key ^ key >> 22;
}

// What entries are ordered by: the key above bits that don't matter. 0: an empty slot.
inline constexpr uint32_t kOrderShift = 64 - kAddressKeyBits;

// Entry: `order()`. The first `kCommonBits` of all keys of a table are alike. A key may stand in it several
// times.
template <typename Entry, uint32_t kCommonBits>
class AddressTable {
  public:
    AddressTable() = default;
    AddressTable(const AddressTable&) = delete;
    AddressTable& operator=(const AddressTable&) = delete;
    ~AddressTable() { release(entries_, slots_); }

    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

    // By how many 128th it grows at a time.
    void set_growth(uint32_t growth) { growth_ = growth; }

    // The first entry of a key, others follow it; null where there is none.
    const Entry* find(uint64_t key) const {
        if (size_ == 0) return nullptr;
        const Entry* const at = first_not_below(key);
        return at->order() >> kOrderShift == key ? at : nullptr;
    }
    Entry* find(uint64_t key) { return const_cast<Entry*>(std::as_const(*this).find(key)); }
    static Entry* next(Entry* entry) {
        return (entry[1].order() ^ entry->order()) >> kOrderShift == 0 ? entry + 1 : nullptr;
    }

    // Pointers into the table are stale after each of these.
    void insert(const Entry& entry) { put(entry, /*unique=*/false); }
    // False, and nothing done, where the key has an entry.
    bool insert_unique(const Entry& entry) { return put(entry, /*unique=*/true); }
    void erase(Entry* entry) {
        for (; entry[1].order() != 0 && entries_ + home(entry[1].order()) <= entry; ++entry)
            *entry = entry[1];
        *entry = Entry();
        --size_;
        if (size_ < homes_ / 4 && homes_ > 4 * kLeast) resize(homes_ / 2);
    }

    // Inlined by force: gcc takes a function that only prefetches for one without effect, and drops the call.
    [[gnu::always_inline]] void prefetch(uint64_t key) const {
        // As a number: an empty table has no entries for a pointer to be among.
        const uint64_t at = reinterpret_cast<uint64_t>(entries_) + home(key << kOrderShift) * sizeof(Entry);
        __builtin_prefetch(reinterpret_cast<const void*>(at), 1);
        __builtin_prefetch(reinterpret_cast<const void*>(at + 2 * sizeof(Entry)), 1);
    }

    template <typename Visit>
    void for_each(Visit visit) const {
        for (size_t slot = 0; slot < slots_; ++slot) {
            if (entries_[slot].order() != 0) visit(entries_[slot]);
        }
    }

    // `discard(entry)` says which ones go.
    template <typename Discard>
    void erase_if(Discard discard) {
        size_t kept = 0;
        for (size_t slot = 0; slot < slots_; ++slot) {
            if (entries_[slot].order() == 0) continue;
            if (discard(entries_[slot])) {
                entries_[slot] = Entry();
            } else {
                ++kept;
            }
        }
        if (kept == size_) return;
        size_ = kept;
        resize(kept + kept / 4 + kLeast);  // holes would end searches
    }

  private:
    static constexpr size_t kLeast = 64;
    static constexpr size_t kFullPercent = 80;

    // Where an entry belongs: the key's place in the range of keys, scaled.
    size_t home(uint64_t order) const { return (order << kCommonBits >> 32) * homes_ >> 32; }

    Entry* first_not_below(uint64_t key) const {
        const uint64_t order = key << kOrderShift;
        Entry* at = entries_ + home(order);
        // Less one, an empty slot is the greatest.
        while (at->order() - 1 < order - 1) ++at;
        return at;
    }

    bool put(const Entry& entry, bool unique) {
        if (size_ + 1 > homes_ * kFullPercent / 100) resize(homes_ + homes_ * growth_ / 128 + kLeast);
        for (;;) {
            const uint64_t key = entry.order() >> kOrderShift;
            Entry* const at = first_not_below(key);
            if (unique && at->order() >> kOrderShift == key) return false;
            Entry* free = at;
            while (free->order() != 0) ++free;
            // The last slot stays empty: every search ends there.
            if (free < entries_ + slots_ - 1) {
                memmove(static_cast<void*>(at + 1), at, static_cast<size_t>(free - at) * sizeof(Entry));
                *at = entry;
                ++size_;
                return true;
            }
            resize(homes_, 2 * tail_);
        }
    }

    // Straight from the kernel: what one size leaves behind in malloc would not serve the next.
    static Entry* reserve(size_t slots) {
        void* memory = mmap(nullptr, slots * sizeof(Entry), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (memory == MAP_FAILED) __builtin_trap();  // as `new` without exceptions
        return static_cast<Entry*>(memory);
    }
    static void release(Entry* entries, size_t slots) {
        if (entries != nullptr) munmap(static_cast<void*>(entries), slots * sizeof(Entry));
    }

    void resize(size_t homes, size_t tail = kLeast) {
        constexpr size_t kPage = 4096;
        const size_t bytes = ((homes + tail) * sizeof(Entry) + kPage - 1) / kPage * kPage;
        Entry* const before = entries_;
        const size_t slots_before = slots_;
        slots_ = bytes / sizeof(Entry);
        homes_ = slots_ - tail;
        tail_ = tail;
        entries_ = reserve(slots_);
        if (!copy(before, slots_before)) {
            release(entries_, slots_);
            entries_ = before;
            slots_ = slots_before;
            return resize(homes, 2 * tail);
        }
        release(before, slots_before);
    }

    // False where the tail is too short.
    bool copy(const Entry* from, size_t slots) {
        Entry* free = entries_;
        for (const Entry* entry = from; entry != from + slots; ++entry) {
            if (entry->order() == 0) continue;
            Entry* const at = entries_ + home(entry->order());
            if (free < at) free = at;
            if (free == entries_ + slots_ - 1) return false;
            *free++ = *entry;
        }
        return true;
    }

    Entry* entries_ = nullptr;
    size_t homes_ = 0;
    size_t tail_ = 0;  // slots behind the last home, for what is displaced from there
    size_t slots_ = 0;
    size_t size_ = 0;
    uint32_t growth_ = 64;
};

}  // namespace offheap::addon
