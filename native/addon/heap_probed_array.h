// Open addressing with linear probing, for millions of entries: no pointers, no tombstones, little slack.
//
// Entry: `address()`, 0 where the slot is empty. An address may stand in it several times.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <new>
#include <utility>

namespace offheap::addon {

// Spreads addresses; the target can't foresee how, so it can't choose addresses that collide.
inline uint64_t g_address_salt = 0;
void salt_addresses();

inline uint64_t hash_address(uint64_t address) {
    uint64_t hash = ((address >> 3) ^ g_address_salt) * 0x9e37'79b9'7f4a'7c15ULL;
    hash = (hash ^ hash >> 32) * 0xd6e8'feb8'6659'fd93ULL;
    return hash ^ hash >> 32;
}

template <typename Entry>
class ProbedArray {
  public:
    ProbedArray() = default;
    ProbedArray(const ProbedArray&) = delete;
    ProbedArray& operator=(const ProbedArray&) = delete;
    ~ProbedArray() { release(entries_, capacity_); }

    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

    // The first entry of an address; null where there is none. `hash` is the address's.
    Entry* find(uint64_t address, uint64_t hash) {
        if (size_ == 0) return nullptr;
        return probe(address, home(hash));
    }
    // The next one of the same address.
    Entry* next(Entry* entry) { return probe(entry->address(), following(index(entry))); }

    // Other pointers into the array are stale after each of these two.
    Entry* insert(const Entry& entry, uint64_t hash) {
        if (size_ + 1 > capacity_ * kFullPercent / 100)
            resize(capacity_ + capacity_ * growth_ / 128 + kLeast);
        size_t slot = home(hash);
        while (entries_[slot].address() != 0) slot = following(slot);
        entries_[slot] = entry;
        ++size_;
        return &entries_[slot];
    }
    void erase(Entry* entry) {
        // What follows moves up where that brings it nearer to its home, so that no search ends too early.
        size_t hole = index(entry);
        for (size_t slot = following(hole); entries_[slot].address() != 0; slot = following(slot)) {
            const size_t wanted = home(hash_address(entries_[slot].address()));
            if (distance(wanted, slot) < distance(hole, slot)) continue;
            entries_[hole] = entries_[slot];
            hole = slot;
        }
        entries_[hole] = Entry();
        --size_;
        if (capacity_ > 4 * kLeast && size_ < capacity_ / 4) resize(capacity_ / 2);
    }

    void prefetch(uint64_t hash) const { __builtin_prefetch(entries_ + home(hash), 1); }

    template <typename Visit>
    void for_each(Visit visit) const {
        for (size_t slot = 0; slot < capacity_; ++slot) {
            if (entries_[slot].address() != 0) visit(entries_[slot]);
        }
    }

    // `discard(entry)` says which ones go.
    template <typename Discard>
    void erase_if(Discard discard) {
        size_t kept = 0;
        for (size_t slot = 0; slot < capacity_; ++slot) {
            if (entries_[slot].address() == 0) continue;
            if (discard(entries_[slot])) {
                entries_[slot] = Entry();
            } else {
                ++kept;
            }
        }
        if (kept == size_) return;
        // Rebuilt, since the holes would end searches.
        size_ = kept;
        resize(kept * 100 / kFullPercent + kept / 8 + kLeast);
    }

    // By how many 128th it grows at a time.
    void set_growth(uint32_t growth) { growth_ = growth; }

  private:
    static constexpr size_t kLeast = 64;
    static constexpr size_t kFullPercent = 85;

    // By multiplication, so that any capacity will do.
    size_t home(uint64_t hash) const { return static_cast<size_t>((hash & 0xffff'ffff) * capacity_ >> 32); }
    size_t following(size_t slot) const { return slot + 1 == capacity_ ? 0 : slot + 1; }
    size_t distance(size_t from, size_t to) const { return to >= from ? to - from : to + capacity_ - from; }
    size_t index(const Entry* entry) const { return static_cast<size_t>(entry - entries_); }

    Entry* probe(uint64_t address, size_t slot) {
        for (;; slot = following(slot)) {
            const uint64_t found = entries_[slot].address();
            if (found == address) return &entries_[slot];
            if (found == 0) return nullptr;
        }
    }

    // Straight from the kernel: what one size leaves behind in malloc would not serve the next.
    static Entry* reserve(size_t capacity) {
        void* memory = mmap(nullptr, capacity * sizeof(Entry), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        return memory == MAP_FAILED ? nullptr : static_cast<Entry*>(memory);
    }
    static void release(Entry* entries, size_t capacity) {
        if (entries != nullptr) munmap(static_cast<void*>(entries), capacity * sizeof(Entry));
    }

    void resize(size_t capacity) {
        constexpr size_t kPage = 4096;
        const size_t bytes = (capacity * sizeof(Entry) + kPage - 1) / kPage * kPage;
        Entry* const before = entries_;
        const size_t slots = std::exchange(capacity_, bytes / sizeof(Entry));
        entries_ = reserve(capacity_);
        if (entries_ == nullptr) __builtin_trap();  // as operator new would without exceptions
        for (size_t slot = 0; slot < slots; ++slot) {
            if (before[slot].address() == 0) continue;
            size_t free = home(hash_address(before[slot].address()));
            while (entries_[free].address() != 0) free = following(free);
            entries_[free] = before[slot];
        }
        release(before, slots);
    }

    Entry* entries_ = nullptr;
    size_t capacity_ = 0;
    size_t size_ = 0;
    uint32_t growth_ = 64;
};

}  // namespace offheap::addon
