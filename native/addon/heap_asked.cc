#include "native/addon/heap_asked.h"

#include <algorithm>

namespace offheap::addon {
namespace {

constexpr uint64_t kPageBytes = 4096;

uint64_t page_of(uint64_t address) { return address / kPageBytes; }

// Sizes of blocks by what is asked for.
class SizeClasses {
  public:
    explicit SizeClasses(const std::vector<uint64_t>& classes) : classes_(classes) {
        uint32_t at = 0;
        for (uint64_t step = 0; step <= kSmallBytes / kStepBytes; ++step) {
            while (at < classes_.size() && classes_[at] < step * kStepBytes) ++at;
            first_.push_back(at);
        }
    }

    // 0: larger than all.
    uint64_t of(uint64_t bytes) const {
        const uint64_t step = std::min(bytes, kSmallBytes) / kStepBytes;
        auto at = classes_.begin() + first_[step];
        if (bytes >= kSmallBytes) at = std::lower_bound(at, classes_.end(), bytes);
        while (at != classes_.end() && *at < bytes) ++at;
        return at == classes_.end() ? 0 : *at;
    }

  private:
    static constexpr uint64_t kSmallBytes = 8192;
    static constexpr uint64_t kStepBytes = 16;
    const std::vector<uint64_t>& classes_;
    std::vector<uint32_t> first_;  // by steps: the first class of at least that much
};

// The pages of ranges, numbered through, and which of them hold a block.
class LivePages {
  public:
    explicit LivePages(const std::vector<AddressRange>& ranges) : ranges_(ranges) {
        uint64_t pages = 0;
        for (const AddressRange& range : ranges) {
            first_.push_back(pages);
            pages += page_of(range.end - 1) + 1 - page_of(range.start);
        }
        if (pages <= kMostPages) bits_.resize(pages / 64 + 1);
    }

    // False where there are too many to keep a bit for each.
    bool are_known() const { return !bits_.empty(); }

    // The position of the range that an address lies in; -1 in none.
    ptrdiff_t range_of(uint64_t address) const {
        const auto above =
            std::upper_bound(ranges_.begin(), ranges_.end(), address,
                             [](uint64_t wanted, const AddressRange& range) { return wanted < range.start; });
        if (above == ranges_.begin() || address >= above[-1].end) return -1;
        return above - ranges_.begin() - 1;
    }

    void mark(size_t range, uint64_t start, uint64_t end) {
        if (!are_known()) return;
        const uint64_t before = first_[range] - page_of(ranges_[range].start);
        const uint64_t first = before + page_of(start), last = before + page_of(end - 1);
        if (last - first >= kManyPages) return spans_.push_back({first, last + 1});
        for (uint64_t bit = first; bit <= last; ++bit) set(bit);
    }

    // Of neighbouring pages, by address.
    std::vector<AddressRange> marked() {
        std::vector<AddressRange> runs;
        if (!are_known()) return runs;
        mark_spans();
        for (size_t range = 0; range < ranges_.size(); ++range) {
            const uint64_t first = page_of(ranges_[range].start);
            const uint64_t count = page_of(ranges_[range].end - 1) + 1 - first;
            for (uint64_t page = 0; page < count; ++page) {
                const uint64_t bit = first_[range] + page;
                // Most of what an allocator maps is long empty.
                if (bits_[bit / 64] == 0)
                    page += 63 - bit % 64;
                else if ((bits_[bit / 64] >> bit % 64 & 1) != 0)
                    add(runs, (first + page) * kPageBytes);
            }
        }
        return runs;
    }

  private:
    static constexpr uint64_t kMostPages = 1ULL << 30;  // 4 TiB
    static constexpr uint64_t kManyPages = 64;

    void set(uint64_t bit) { bits_[bit / 64] |= 1ULL << bit % 64; }

    // Each page once, however many blocks claim to lie there.
    void mark_spans() {
        std::sort(spans_.begin(), spans_.end(),
                  [](const AddressRange& a, const AddressRange& b) { return a.start < b.start; });
        uint64_t at = 0;
        for (const AddressRange& span : spans_) {
            for (at = std::max(at, span.start); at < span.end; ++at) set(at);
        }
        spans_.clear();
    }

    static void add(std::vector<AddressRange>& runs, uint64_t start) {
        if (runs.empty() || runs.back().end != start) runs.push_back({start, start});
        runs.back().end += kPageBytes;
    }

    const std::vector<AddressRange>& ranges_;
    std::vector<uint64_t> first_;  // page of each range
    std::vector<uint64_t> bits_;
    std::vector<AddressRange> spans_;  // of bits that are yet to be set
};

// The end of a block whose pages have to be looked at: that what is asked for was touched is not certain of a
// large one, and what lies behind it seldom is.
struct Tail {
    AddressRange bytes;
    double weight;
};

double resident_bytes(std::vector<Tail>& tails, PageMap& page_map) {
    std::sort(tails.begin(), tails.end(),
              [](const Tail& a, const Tail& b) { return a.bytes.start < b.bytes.start; });
    // The page on which the tail begins, and those behind it.
    std::vector<AddressRange> pages;
    std::vector<const Tail*> of;
    uint64_t at = 0;
    for (const Tail& tail : tails) {
        const uint64_t start = page_of(tail.bytes.start) * kPageBytes;
        const uint64_t end = (page_of(tail.bytes.end - 1) + 1) * kPageBytes;
        // Blocks whose release was lost may overlap.
        if (start < at) continue;
        at = end;
        pages.push_back({start, start + kPageBytes});
        of.push_back(&tail);
        if (end == start + kPageBytes) continue;
        pages.push_back({start + kPageBytes, end});
        of.push_back(&tail);
    }
    std::vector<PageBytes> held;
    page_map.sweep(pages, held);
    double sum = 0;
    for (size_t i = 0; i < pages.size(); ++i) {
        const uint64_t most =
            std::min(pages[i].end, of[i]->bytes.end) - std::max(pages[i].start, of[i]->bytes.start);
        sum += of[i]->weight * static_cast<double>(std::min(held[i].resident(), most));
    }
    return sum;
}

}  // namespace

LedgerAskedBlocks::LedgerAskedBlocks(const HeapLedger& ledger, const std::vector<HeapDelta>& overlay)
    : ledger_(ledger), filter_(1 << kFilterBits) {
    for (const HeapDelta& delta : overlay) {
        if (delta.address == 0 || delta.counts.live_allocations <= 0) continue;
        resting_.push_back({delta.address, delta.bytes});
        filter_[filter_place(delta.address)] = true;
    }
    std::sort(resting_.begin(), resting_.end(),
              [](const Resting& a, const Resting& b) { return a.address < b.address; });
}

const LedgerAskedBlocks::Resting* LedgerAskedBlocks::find_resting(uint64_t address) const {
    if (!filter_[filter_place(address)]) return nullptr;
    const auto found =
        std::lower_bound(resting_.begin(), resting_.end(), address,
                         [](const Resting& block, uint64_t wanted) { return block.address < wanted; });
    return found != resting_.end() && found->address == address ? &*found : nullptr;
}

bool LedgerAskedBlocks::find(uint64_t address, AskedBlock& block) const {
    if (const Resting* resting = find_resting(address)) {
        block = {resting->bytes};
        return true;
    }
    LiveBlock live;
    if (address % 8 != 0 || address >= LiveBlocks::kAddressLimit) return false;
    if (!ledger_.live().find(address, live)) return false;
    block = asked(live);
    return true;
}

AskedSums asked_in(const LedgerAskedBlocks& blocks, const std::vector<AddressRange>& ranges,
                   const std::vector<uint64_t>& classes, PageMap& page_map) {
    AskedSums sums;
    const SizeClasses sizes(classes);
    LivePages pages(ranges);
    std::vector<Tail> tails;
    blocks.for_each([&](uint64_t address, const AskedBlock& block) {
        const ptrdiff_t range = pages.range_of(address);
        if (range < 0) return;
        const uint64_t end = std::min(address + block.bytes, ranges[range].end);
        pages.mark(range, address, std::max(end, address + 1));
        sums.blocks += block.weight;
        sums.bytes += block.weight * static_cast<double>(block.bytes);
        const uint64_t size = sizes.of(block.bytes);
        if (size == 0) {
            sums.unclassed_bytes += block.weight * static_cast<double>(block.bytes);
            return;
        }
        if (size == block.bytes) return;
        const auto own_slack = static_cast<double>(size - block.bytes);
        const double slack = block.weight * own_slack;
        sums.slack_bytes += slack;
        sums.slack_variance += block.variance * own_slack * own_slack;
        const bool is_on_page = page_of(address) == page_of(address + size - 1);
        if (is_on_page) {
            sums.slack_resident_bytes += slack;
        } else {
            tails.push_back({{address + block.bytes, address + size}, block.weight});
        }
    });
    sums.slack_resident_bytes += resident_bytes(tails, page_map);
    std::vector<PageBytes> held;
    page_map.sweep(pages.marked(), held);
    sums.knows_pages = pages.are_known();
    for (const PageBytes& bytes : held) sums.resident_bytes += bytes.resident();
    return sums;
}

}  // namespace offheap::addon
