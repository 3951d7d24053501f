// The stack tree: every distinct stack is a path from a root to a node, so its id is four bytes and a frame
// that many stacks share is stored once. Insert-only and lock-free; ids stay valid for the life of the
// channel.
//
// `nodes` is an array (id 0 is "no stack"); `index` is an open-addressing hash table of ids over (parent,
// key).
//
// Memory order:
//   [node]  inserter's release exchange of the index entry → finder's acquire load: the node's fields are
//   complete.
//           A collector gets ids from committed events only, which order the node before them ([commit],
//           ring.h).
#pragma once

#include "native/wire/layout.h"

namespace offheap::wire {

class StackTree {
  public:
    StackTree() = default;
    explicit StackTree(Header* header)
        : header_(header),
          nodes_(reinterpret_cast<StackNode*>(reinterpret_cast<uint8_t*>(header) + header->nodes_offset)),
          index_(reinterpret_cast<uint32_t*>(reinterpret_cast<uint8_t*>(header) + header->index_offset)),
          mask_(header->index_capacity - 1) {}

    // The node of frame `key` called from `parent`; 0 when the tree is full. `make_space(id)` must make sure
    // that node `id` is backed by memory, and says whether it is.
    template <typename MakeSpace>
    uint32_t intern(uint32_t parent, uint64_t key, MakeSpace make_space) {
        uint64_t slot = hash(parent, key) & mask_;
        for (uint64_t probes = 0; probes <= mask_; ++probes, slot = (slot + 1) & mask_) {
            uint32_t id = __atomic_load_n(&index_[slot], __ATOMIC_ACQUIRE);  // [node]
            if (id == 0) {
                const uint32_t fresh = allocate(parent, key, make_space);
                if (fresh == 0) return 0;
                if (__atomic_compare_exchange_n(&index_[slot], &id, fresh, /*weak=*/false, __ATOMIC_RELEASE,
                                                __ATOMIC_ACQUIRE)) {  // [node]
                    return fresh;
                }
                // Another thread took the slot; `fresh` stays unreferenced, which costs 16 bytes and no
                // meaning.
            }
            if (nodes_[id].key == key && nodes_[id].parent == parent) return id;
        }
        return 0;
    }

  private:
    static uint64_t hash(uint32_t parent, uint64_t key) {
        uint64_t h = (key ^ (static_cast<uint64_t>(parent) << 40 | parent)) * 0x9e3779b97f4a7c15ULL;
        h ^= h >> 29;
        return (h * 0xbf58476d1ce4e5b9ULL) >> 20;
    }

    template <typename MakeSpace>
    uint32_t allocate(uint32_t parent, uint64_t key, MakeSpace make_space) {
        if (__atomic_load_n(&header_->nodes_used, __ATOMIC_RELAXED) >= header_->nodes_capacity) return 0;
        const uint64_t id = __atomic_fetch_add(&header_->nodes_used, 1, __ATOMIC_RELAXED);
        if (id >= header_->nodes_capacity || !make_space(id)) return 0;
        nodes_[id] = {key, parent, parent == 0 ? 0 : nodes_[parent].depth + 1};
        return static_cast<uint32_t>(id);
    }

    Header* header_ = nullptr;
    StackNode* nodes_ = nullptr;
    uint32_t* index_ = nullptr;
    uint64_t mask_ = 0;
};

}  // namespace offheap::wire
