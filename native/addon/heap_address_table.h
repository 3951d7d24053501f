// Entries by address, millions of them: open addressing, no pointers, little slack.
//
// An address is mixed into a key of 44 bits, one to one. A key's home slot rises with the key, and entries
// stand in the order of their keys, each at its home or as near behind it as there is room. So a search ends
// at the first greater key, and a table grows in its place, read and laid out again from front to back.
//
// What is erased is buried where it stands: it keeps its place in the order until the place is wanted. An
// allocator gives an address again that was freed lately, and its entry then finds its old place.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <utility>

namespace offheap::addon {

inline constexpr uint32_t kAddressKeyBits = 44;
inline constexpr uint64_t kAddressKeyMask = (1ULL << kAddressKeyBits) - 1;

// Odd; chosen at random, so that a target can't choose addresses whose keys lie together.
inline uint64_t g_address_factor = 0x9e37'79b9'7f4a'7c15ULL;
void choose_address_factor();

// Of a multiple of 8 below 2^47. Each step can be undone, so the key stands for the address; only 0 gives 0.
inline uint64_t address_key(uint64_t address) {
    uint64_t key = (address >> 3) * g_address_factor & kAddressKeyMask;
    key ^= key >> 22;
    return key * 0xd6e8'feb8'6659'fd93ULL & kAddressKeyMask;
}

// The factor that undoes a multiplication by an odd one. Each step doubles the bits that are right: 3, 6
// … 48.
constexpr uint64_t inverse_of(uint64_t factor) {
    uint64_t inverse = factor;
    for (int step = 0; step < 4; ++step) inverse *= 2 - factor * inverse;
    return inverse;
}

// The address of a key. `inverse` is g_address_factor's.
inline uint64_t address_of_key(uint64_t key, uint64_t inverse) {
    constexpr uint64_t kUndo = inverse_of(0xd6e8'feb8'6659'fd93ULL);
    key = key * kUndo & kAddressKeyMask;
    key ^= key >> 22;
    return (key * inverse & kAddressKeyMask) << 3;
}

// What entries are ordered by: the key above bits that don't matter. 0: an empty slot.
inline constexpr uint32_t kOrderShift = 64 - kAddressKeyBits;

// Entry: `order()`; `alive()`, false when it is empty; `bury()`, which makes that false and keeps the order.
// The first `kCommonBits` of all keys of a table are alike. A key may stand in it several times.
template <typename Entry, uint32_t kCommonBits>
class alignas(64) AddressTable {
  public:
    AddressTable() = default;
    AddressTable(const AddressTable&) = delete;
    AddressTable& operator=(const AddressTable&) = delete;
    ~AddressTable() {
        if (entries_ != nullptr) munmap(static_cast<void*>(entries_), mapped_bytes_);
    }

    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

    // By how many 128th it grows at a time.
    void set_growth(uint32_t growth) { growth_ = growth; }

    // The first entry of a key, others follow it; null where there is none.
    const Entry* find(uint64_t key) const {
        return size_ == 0 ? nullptr : first_alive(first_not_below(key), key);
    }
    Entry* find(uint64_t key) { return const_cast<Entry*>(std::as_const(*this).find(key)); }
    static Entry* next(Entry* entry) {
        return const_cast<Entry*>(first_alive(entry + 1, entry->order() >> kOrderShift));
    }

    // Pointers into the table are stale after each of these.
    void insert(const Entry& entry) { put(entry, /*unique=*/false); }
    // False, and nothing done, where the key has an entry.
    bool insert_unique(const Entry& entry) { return put(entry, /*unique=*/true); }
    void erase(Entry* entry) {
        entry->bury();
        --size_;
        if (size_ < homes_ / 4 && homes_ > 4 * kLeast) resize(homes_ / 2);
    }

    // Inlined by force: gcc takes a function that only prefetches for one without effect, and drops the call.
    [[gnu::always_inline]] void prefetch(uint64_t key) const {
        // As a number: an empty table has no entries for a pointer to be among.
        const uint64_t at = reinterpret_cast<uint64_t>(entries_) + home(key << kOrderShift) * sizeof(Entry);
        __builtin_prefetch(reinterpret_cast<const void*>(at), 1);
        __builtin_prefetch(reinterpret_cast<const void*>(at + (kStride - 1) * sizeof(Entry)), 1);
    }

    template <typename Visit>
    void for_each(Visit visit) const {
        for (size_t slot = 0; slot < slots_; ++slot) {
            if (entries_[slot].alive()) visit(entries_[slot]);
        }
    }

    // `discard(entry)` says which ones go.
    template <typename Discard>
    void erase_if(Discard discard) {
        const size_t before = size_;
        for (size_t slot = 0; slot < slots_; ++slot) {
            if (!entries_[slot].alive() || !discard(entries_[slot])) continue;
            entries_[slot].bury();
            --size_;
        }
        if (size_ != before) resize(size_ + size_ / 4 + kLeast);
    }

  private:
    static constexpr size_t kLeast = 64;
    // The living alone, and with the buried: these make searches longer, but not the way to a free slot.
    static constexpr size_t kFullPercent = 80;
    static constexpr size_t kTakenPercent = 88;
    // Slots that a search compares at once.
    static constexpr size_t kStride = 4;
    static constexpr size_t kPageBytes = 4096;

    // Where an entry belongs: the key's place in the range of keys, scaled.
    size_t home(uint64_t order) const { return (order << kCommonBits >> 32) * homes_ >> 32; }

    // Counts instead of branching: how far an entry is from its home can't be predicted.
    Entry* first_not_below(uint64_t key) const {
        const uint64_t order = key << kOrderShift;
        Entry* at = entries_ + home(order);
        for (;;) {
            size_t below = 0;
            // Less one, an empty slot is the greatest.
#pragma GCC unroll 4
            for (size_t slot = 0; slot < kStride; ++slot) below += at[slot].order() - 1 < order - 1;
            at += below;
            if (below < kStride) return at;
        }
    }

    static const Entry* first_alive(const Entry* at, uint64_t key) {
        for (; at->order() >> kOrderShift == key; ++at) {
            if (at->alive()) return at;
        }
        return nullptr;
    }

    bool put(const Entry& entry, bool unique) {
        if (taken_ >= most_taken_ || size_ >= most_alive_) make_room();
        for (;;) {
            const uint64_t key = entry.order() >> kOrderShift;
            Entry* const at = first_not_below(key);
            if (unique && first_alive(at, key) != nullptr) return false;
            Entry* free = at;
            while (free->alive()) ++free;
            // The last slot stays empty: every search ends there.
            if (free < entries_ + slots_ - 1) {
                if (free->order() == 0) ++taken_;
                if (free != at) {
                    memmove(static_cast<void*>(at + 1), at, static_cast<size_t>(free - at) * sizeof(Entry));
                }
                *at = entry;
                ++size_;
                return true;
            }
            resize(homes_, 2 * tail_);
        }
    }

    [[gnu::noinline]] void make_room() {
        resize(size_ < most_alive_ ? homes_ : homes_ + homes_ * growth_ / 128 + kLeast);
    }

    void resize(size_t homes, size_t tail = kLeast) {
        gather();
        for (;; tail *= 2) {
            map(homes, tail);
            if (spread()) return;
            gather();
        }
    }

    // The living to the front, one behind the other; the others are forgotten.
    void gather() {
        Entry* free = entries_;
        for (Entry* entry = entries_; entry != entries_ + slots_; ++entry) {
            if (entry->alive()) *free++ = *entry;
        }
        clear(free, entries_ + slots_);
    }

    // Straight from the kernel: what one size leaves behind in malloc would not serve the next. `tail`: slots
    // behind the last home, for what is displaced from there. What was gathered stays.
    void map(size_t homes, size_t tail) {
        const size_t least_bytes = (homes + tail + kStride) * sizeof(Entry);
        const size_t bytes = (least_bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
        void* const memory =
            entries_ == nullptr
                ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                : mremap(static_cast<void*>(entries_), mapped_bytes_, bytes, MREMAP_MAYMOVE);
        if (memory == MAP_FAILED) __builtin_trap();  // as `new` without exceptions
        entries_ = static_cast<Entry*>(memory);
        mapped_bytes_ = bytes;
        slots_ = bytes / sizeof(Entry) - kStride;  // a search looks so far behind the last one
        homes_ = slots_ - tail;
        tail_ = tail;
        most_alive_ = homes_ * kFullPercent / 100;
        most_taken_ = homes_ * kTakenPercent / 100;
    }

    // What was gathered, to its places. False where the tail is too short: then all is still there, in order.
    bool spread() {
        Entry* const end = entries_ + slots_ - 1;
        Entry* const begin = end - size_;
        memmove(static_cast<void*>(begin), entries_, size_ * sizeof(Entry));
        clear(entries_, std::min(begin, entries_ + size_));
        taken_ = size_;
        Entry* free = entries_;
        for (Entry* entry = begin; entry != end; ++entry) {
            Entry* const at = std::max(free, entries_ + home(entry->order()));
            // Behind itself: those that follow it would not all find room.
            if (at > entry) return false;
            const Entry moved = *entry;
            *entry = Entry();
            *at = moved;
            free = at + 1;
        }
        return true;
    }

    static void clear(Entry* from, Entry* to) { std::fill(from, to, Entry()); }

    Entry* entries_ = nullptr;
    size_t homes_ = 0;
    size_t slots_ = 0;
    size_t size_ = 0;   // living
    size_t taken_ = 0;  // by the living and the buried
    size_t most_alive_ = 0;
    size_t most_taken_ = 0;
    size_t mapped_bytes_ = 0;
    size_t tail_ = 0;
    uint32_t growth_ = 64;
};

}  // namespace offheap::addon
