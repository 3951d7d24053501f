// What live allocations were asked for, against what their allocator set aside for them.
//
// The ledger's table is walked once, however many ranges there are: 40 ns for each of five million live
// blocks.
#pragma once

#include <stdint.h>

#include <vector>

#include "native/addon/address_range.h"
#include "native/addon/asked_blocks.h"
#include "native/addon/heap_ledger.h"
#include "native/addon/heap_overlay.h"
#include "native/addon/residency.h"

namespace offheap::addon {

// The live blocks of a ledger and of what its windows add.
class LedgerAskedBlocks final : public AskedBlocks {
  public:
    LedgerAskedBlocks(const HeapLedger& ledger, const std::vector<HeapDelta>& overlay);

    void expect(uint64_t address) const override { ledger_.live().prefetch(address); }
    bool find(uint64_t address, AskedBlock& block) const override;

    // `visit(address, block)`, each live block once.
    template <typename Visit>
    void for_each(Visit visit) const {
        ledger_.live().for_each_at([&](uint64_t address, const LiveBlock& block) {
            if (find_resting(address) == nullptr) visit(address, asked(block));
        });
        for (const Resting& block : resting_) visit(block.address, AskedBlock{block.bytes});
    }

  private:
    struct Resting {
        uint64_t address = 0;
        uint64_t bytes = 0;
    };
    static constexpr uint32_t kFilterBits = 16;

    static size_t filter_place(uint64_t address) {
        return (address >> 3) * 0x9e37'79b9'7f4a'7c15ULL >> (64 - kFilterBits);
    }
    // In place of what the ledger has at its address.
    const Resting* find_resting(uint64_t address) const;
    AskedBlock asked(const LiveBlock& block) const {
        const HeapWeight weight = weigh(block.bytes, ledger_.sites()[block.site].sampled_every);
        return {block.bytes, weight.allocations, weight.variance.allocations};
    }

    const HeapLedger& ledger_;
    std::vector<Resting> resting_;  // by address
    std::vector<bool> filter_;      // where one of them may be
};

// Of the live blocks in some ranges. Weights are applied.
struct AskedSums {
    double blocks = 0;
    double bytes = 0;  // asked for
    // Beyond that, to the end of their size classes; and what of it lies on pages in memory.
    double slack_bytes = 0;
    double slack_resident_bytes = 0;
    double slack_variance = 0;  // square of the standard error of slack_bytes
    // Of blocks that are larger than the largest class that is known: their slack is not.
    double unclassed_bytes = 0;
    // In memory, of pages on which a block lives.
    uint64_t resident_bytes = 0;
    bool knows_pages = true;  // false: there are too many to look at
};

// `ranges` are sorted and apart from one another. `classes` are an allocator's sizes of blocks, rising; none
// where they aren't known.
AskedSums asked_in(const LedgerAskedBlocks& blocks, const std::vector<AddressRange>& ranges,
                   const std::vector<uint64_t>& classes, PageMap& page_map);

}  // namespace offheap::addon
