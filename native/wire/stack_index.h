// The hash table of the stack tree, for nodes that are not their parent's first child. It grows while many
// threads use it: there is no pause and no lock, and a thread may be abandoned at any instruction.
//
// All tables lie in one array: that of 2^bits entries in [2^bits, 2^(bits + 1)), an era. An entry is 0, or a
// node's number under a piece of its hash and written once, or closed. When an era is half full, the next one
// is backed by memory; from then on each insert moves a block of the present era: empty entries are closed,
// and nodes are entered in the next era too. Who comes to a closed entry goes on there. So no node is made
// twice: the entry that decides about it is taken before its block is moved, and moves along, or is closed.
//
// Any step of moving may be done again, by anybody, however late: an entry never changes a second time, and a
// node that was moved is found where it would be entered.
//
// Memory orders:
//   [node] inserter's release exchange of an entry → finder's acquire load: the node is complete.
//   [era]  mover's release exchange of `index_migrated` and `index_bits` → acquire load: the next era is
//          backed; what was moved is found in it.
#pragma once

#include "native/wire/layout.h"

namespace offheap::wire {

class StackIndex {
  public:
    // Of an entry, for the node.
    static constexpr uint32_t kNodeBits = 24;

    StackIndex() = default;
    explicit StackIndex(Header* header)
        : header_(header),
          nodes_(reinterpret_cast<StackNode*>(reinterpret_cast<uint8_t*>(header) + header->nodes_offset)),
          entries_(reinterpret_cast<uint32_t*>(reinterpret_cast<uint8_t*>(header) + header->index_offset)) {}

    // The node of `key` and `parent`, else the one that `make()` returns; 0 when that does, or when the table
    // is full. `back(offset_bytes, bytes)` backs a part of the channel by memory and says whether it could.
    template <typename Make, typename Back>
    uint32_t intern(uint32_t parent, uint64_t key, Make make, Back back) {
        const uint64_t hash = hash_of(parent, key);
        const uint32_t tag = tag_of(hash);
        uint32_t fresh = 0;
        for (uint32_t bits = __atomic_load_n(&header_->index_bits, __ATOMIC_ACQUIRE);; ++bits) {  // [era]
            uint32_t* const era = era_of(bits);
            const uint64_t mask = (1ULL << bits) - 1;
            const uint64_t first = slot_of(hash) & mask;
            uint64_t slot = first;
            uint32_t entry = 0;
            do {
                entry = __atomic_load_n(&era[slot], __ATOMIC_ACQUIRE);  // [node]
                if (entry == 0 && is_full(bits)) {
                    grow(back);
                    // Full, or just what others have moved away from since this thread looked: then the
                    // entry is closed by now.
                    entry = __atomic_load_n(&era[slot], __ATOMIC_ACQUIRE);  // [node]
                    if (entry == 0) return 0;
                }
                if (entry == 0) {
                    if (fresh == 0 && (fresh = make()) == 0) return 0;
                    if (__atomic_compare_exchange_n(&era[slot], &entry, fresh | tag, /*weak=*/false,
                                                    __ATOMIC_RELEASE, __ATOMIC_ACQUIRE)) {  // [node]
                        __atomic_fetch_add(&header_->index_used, 1, __ATOMIC_RELAXED);
                        grow(back);
                        return fresh;
                    }
                    // Another thread took the entry; `fresh` may never be used, which costs 16 bytes.
                }
                if ((entry ^ tag) >> kNodeBits == 0) {
                    const StackNode& node = nodes_[node_of(entry)];
                    if (node.key == key && node.parent == parent) return node_of(entry);
                }
                slot = (slot + 1) & mask;
            } while (entry != kClosed && slot != first);
            if (entry != kClosed) return 0;
        }
    }

  private:
    static constexpr uint32_t kClosed = ~0u;  // no node has this number
    // What one insert moves: a cache line of entries.
    static constexpr uint32_t kBlockEntries = 16;
    // Memory for an era is asked for in pieces, so that no insert takes long.
    static constexpr uint64_t kPieceEntries = 1u << 16;
    // `index_migrated`: the bits of an era, and below them how many of its blocks were moved.
    static constexpr uint32_t kMigratedBitsShift = 56;

    static uint64_t hash_of(uint32_t parent, uint64_t key) {
        uint64_t h = (key ^ (static_cast<uint64_t>(parent) << 40 | parent)) * 0x9e3779b97f4a7c15ULL;
        h ^= h >> 29;
        return h * 0xbf58476d1ce4e5b9ULL;
    }
    static uint64_t slot_of(uint64_t hash) { return hash >> 20; }
    // Never that of a closed entry.
    static uint32_t tag_of(uint64_t hash) { return static_cast<uint32_t>(hash >> 57) << kNodeBits; }
    static uint32_t node_of(uint32_t entry) { return entry & ((1u << kNodeBits) - 1); }
    uint32_t* era_of(uint32_t bits) const { return entries_ + (1ULL << bits); }

    // Growth that has no memory leaves it so; longer probes would be paid by all.
    bool is_full(uint32_t bits) const { return used() >= (7ULL << bits) / 8; }
    uint64_t used() const { return __atomic_load_n(&header_->index_used, __ATOMIC_RELAXED); }

    // One step of it, if there is any need.
    template <typename Back>
    void grow(Back back) {
        const uint32_t bits = __atomic_load_n(&header_->index_bits, __ATOMIC_ACQUIRE);          // [era]
        const uint64_t migrated = __atomic_load_n(&header_->index_migrated, __ATOMIC_ACQUIRE);  // [era]
        const uint64_t migrated_bits = migrated >> kMigratedBitsShift;
        if (migrated_bits == bits) {
            move_block(bits, migrated);
        } else if (migrated_bits < bits && used() > (1ULL << bits) / 2 && back_era(bits + 1, back)) {
            uint64_t seen = migrated;
            __atomic_compare_exchange_n(&header_->index_migrated, &seen,
                                        static_cast<uint64_t>(bits) << kMigratedBitsShift, /*weak=*/false,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED);  // [era]
        }
    }

    // Backs one more piece of an era; true when there is nothing left to back.
    template <typename Back>
    bool back_era(uint32_t bits, Back back) {
        const uint64_t end = 2ULL << bits;
        if (end > header_->index_capacity) return false;
        uint64_t backed = __atomic_load_n(&header_->index_reserved, __ATOMIC_RELAXED);
        if (backed >= end) return true;
        const uint64_t target = end - backed < kPieceEntries ? end : backed + kPieceEntries;
        if (!back(header_->index_offset + backed * sizeof(uint32_t), (target - backed) * sizeof(uint32_t)))
            return false;
        // Several threads may have backed the same piece.
        while (backed < target &&
               !__atomic_compare_exchange_n(&header_->index_reserved, &backed, target, /*weak=*/true,
                                            __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        }
        return target == end;
    }

    void move_block(uint32_t bits, uint64_t migrated) {
        const uint64_t blocks = (1ULL << bits) / kBlockEntries;
        const uint64_t block = migrated & ((1ULL << kMigratedBitsShift) - 1);
        if (block < blocks) {
            uint32_t* const entries = era_of(bits) + block * kBlockEntries;
            uint32_t found[kBlockEntries];
            for (uint32_t i = 0; i < kBlockEntries; ++i) {
                found[i] = close(&entries[i]);
                if (found[i] != kClosed) __builtin_prefetch(&nodes_[node_of(found[i])]);
            }
            for (const uint32_t entry : found) {
                if (entry != kClosed) move(entry, bits + 1);
            }
            uint64_t seen = migrated;
            __atomic_compare_exchange_n(&header_->index_migrated, &seen, migrated + 1, /*weak=*/false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);  // [era]
        }
        // Of a thread that is abandoned right here, the next insert makes up for it.
        if (block + 1 >= blocks) {
            uint32_t seen = bits;
            __atomic_compare_exchange_n(&header_->index_bits, &seen, bits + 1, /*weak=*/false,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED);  // [era]
        }
    }

    // Closes an empty entry; what the entry is then.
    static uint32_t close(uint32_t* place) {
        uint32_t entry = __atomic_load_n(place, __ATOMIC_ACQUIRE);  // [node]
        if (entry == 0 && __atomic_compare_exchange_n(place, &entry, kClosed, /*weak=*/false,
                                                      __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {  // [node]
            return kClosed;
        }
        return entry;
    }

    void move(uint32_t moved, uint32_t to_bits) {
        const StackNode& node = nodes_[node_of(moved)];
        const uint64_t mask = (1ULL << to_bits) - 1;
        uint32_t* const era = era_of(to_bits);
        for (uint64_t slot = slot_of(hash_of(node.parent, node.key)) & mask;; slot = (slot + 1) & mask) {
            uint32_t entry = 0;
            if (__atomic_compare_exchange_n(&era[slot], &entry, moved, /*weak=*/false, __ATOMIC_RELEASE,
                                            __ATOMIC_ACQUIRE) ||  // [node]
                entry == moved) {
                return;
            }
        }
    }

    Header* header_ = nullptr;
    StackNode* nodes_ = nullptr;
    uint32_t* entries_ = nullptr;
};

}  // namespace offheap::wire
