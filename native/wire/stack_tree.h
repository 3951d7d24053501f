// The stack tree: every distinct stack is a path from a root to a node, so its id is four bytes and a frame
// that many stacks share is stored once. Insert-only and lock-free; ids stay valid for the life of the
// channel, and one path has one id.
//
// `nodes` is an array, backed by memory as it fills; id 0 is "no stack" and the parent of roots. Most nodes
// have one child: a node names its first one, which is mostly a neighbour, and only the others stand in the
// index. Who is the first is decided by one exchange, as is each entry of the index.
//
// Memory order:
//   [node]  inserter's release exchange of `first_child`, or of an index entry (stack_index.h) → finder's
//           acquire load: the node's key and parent are complete. A collector gets ids from committed events
//           only, which order the node before them ([commit], ring.h; [head], heap.h).
#pragma once

#include "native/wire/layout.h"
#include "native/wire/stack_index.h"

namespace offheap::wire {

inline constexpr uint64_t kMostNodes = 1u << 23;
static_assert(kMostNodes < 1u << StackIndex::kNodeBits);

class StackTree {
  public:
    StackTree() = default;
    explicit StackTree(Header* header)
        : header_(header),
          nodes_(reinterpret_cast<StackNode*>(reinterpret_cast<uint8_t*>(header) + header->nodes_offset)),
          index_(header) {}

    // The node of frame `key` called from `parent`; 0 when there is no room for it. `back(offset_bytes,
    // bytes)` backs a part of the channel by memory and says whether it could.
    template <typename Back>
    uint32_t intern(uint32_t parent, uint64_t key, Back back) {
        uint32_t fresh = 0;
        uint32_t child = __atomic_load_n(&nodes_[parent].first_child, __ATOMIC_ACQUIRE);  // [node]
        if (child == 0) {
            fresh = allocate(parent, key, back);
            if (fresh == 0) return 0;
            if (__atomic_compare_exchange_n(&nodes_[parent].first_child, &child, fresh, /*weak=*/false,
                                            __ATOMIC_RELEASE, __ATOMIC_ACQUIRE)) {  // [node]
                return fresh;
            }
        }
        if (nodes_[child].key == key) return child;
        return index_.intern(
            parent, key, [&] { return fresh != 0 ? fresh : allocate(parent, key, back); }, back);
    }

    // 0 where there is none yet.
    uint32_t first_child(uint32_t node) const {
        return __atomic_load_n(&nodes_[node].first_child, __ATOMIC_ACQUIRE);  // [node]
    }

    uint64_t key(uint32_t node) const { return nodes_[node].key; }

  private:
    static constexpr uint64_t kPieceBytes = 1u << 18;

    template <typename Back>
    uint32_t allocate(uint32_t parent, uint64_t key, Back back) {
        uint64_t id = __atomic_load_n(&header_->nodes_used, __ATOMIC_RELAXED);
        do {
            // No number is taken that has no memory: it would be lost when there is room again.
            if (id >= header_->nodes_capacity || !is_backed(id, back)) return 0;
        } while (!__atomic_compare_exchange_n(&header_->nodes_used, &id, id + 1, /*weak=*/true,
                                              __ATOMIC_RELAXED, __ATOMIC_RELAXED));
        nodes_[id] = {key, parent, 0};
        return static_cast<uint32_t>(id);
    }

    template <typename Back>
    bool is_backed(uint64_t id, Back back) {
        uint64_t backed = __atomic_load_n(&header_->nodes_reserved, __ATOMIC_RELAXED);
        if ((id + 1) * sizeof(StackNode) <= backed) return true;
        const uint64_t total = header_->nodes_capacity * sizeof(StackNode);
        const uint64_t target = total - backed < kPieceBytes ? total : backed + kPieceBytes;
        if (!back(header_->nodes_offset + backed, target - backed)) return false;
        // Several threads may have backed the same piece.
        while (backed < target &&
               !__atomic_compare_exchange_n(&header_->nodes_reserved, &backed, target, /*weak=*/true,
                                            __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        }
        return true;
    }

    Header* header_ = nullptr;
    StackNode* nodes_ = nullptr;
    StackIndex index_;
};

}  // namespace offheap::wire
