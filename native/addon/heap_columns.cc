#include "native/addon/heap_columns.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace offheap::addon {
namespace {

using Overlay = std::vector<HeapDelta>;

constexpr double kAgeSeconds[] = {0, 1, 10, 60, 600, 3600, 86400};
constexpr size_t kSizeRows = 49;  // 0, 1, 2, 4 … 2^47

void add(HeapCounts& sum, const HeapCounts& more) {
    sum.live_bytes += more.live_bytes;
    sum.live_allocations += more.live_allocations;
    sum.allocations += more.allocations;
    sum.frees += more.frees;
    sum.temporary += more.temporary;
    sum.allocated_bytes += more.allocated_bytes;
}

// All rows, the overlay added; `row_of` says to which row a delta belongs.
template <typename RowOf>
std::vector<HeapCounts> rows_with(const HeapRows& rows, const Overlay& overlay, RowOf row_of) {
    std::vector<HeapCounts> all;
    all.reserve(rows.size());
    for (uint32_t row = 0; row < rows.size(); ++row) all.push_back(rows[row]);
    for (const HeapDelta& delta : overlay) add(all[row_of(delta)], delta.counts);
    return all;
}

std::vector<HeapCounts> stack_rows(const HeapLedger& ledger, const Overlay& overlay) {
    return rows_with(ledger.stacks(), overlay, [](const HeapDelta& delta) { return delta.stack_row; });
}

// By row.
std::vector<double> live_bytes_of_stacks(const HeapLedger& ledger, const Overlay& overlay) {
    std::vector<double> live(ledger.stacks().size());
    for (uint32_t row = 0; row < live.size(); ++row) live[row] = ledger.stacks()[row].live_bytes;
    for (const HeapDelta& delta : overlay) live[delta.stack_row] += delta.counts.live_bytes;
    return live;
}

// Visits what lives: site or delta, bytes and birth, and what it counts for.
template <typename Visit>
void for_each_live(const HeapLedger& ledger, const Overlay& overlay, Visit visit) {
    ledger.live().for_each([&](const LiveBlock& block) {
        const HeapSite& site = ledger.sites()[block.site];
        const HeapWeight weight = weigh(block.bytes, site.sampled_every);
        visit(site.stack_row, site.era, block.bytes, block.born, weight.bytes, weight.allocations);
    });
    for (const HeapDelta& delta : overlay) {
        if (delta.counts.live_allocations == 0) continue;
        visit(delta.stack_row, delta.era, delta.bytes, delta.born, delta.counts.live_bytes,
              delta.counts.live_allocations);
    }
}

}  // namespace

HeapSiteColumns site_columns(const HeapLedger& ledger, const Overlay& overlay) {
    const std::vector<HeapCounts> rows = stack_rows(ledger, overlay);
    std::vector<HeapVariance> variances(rows.size());
    for (uint32_t row = 0; row < rows.size(); ++row) variances[row] = ledger.variance(row);
    for (const HeapDelta& delta : overlay) {
        variances[delta.stack_row].bytes += delta.variance.bytes;
        variances[delta.stack_row].allocations += delta.variance.allocations;
    }
    HeapSiteColumns columns;
    for (size_t row = 0; row < rows.size(); ++row) {
        const HeapCounts& counts = rows[row];
        if (counts.allocations == 0) continue;
        columns.stack.push_back(counts.key);
        columns.live_bytes.push_back(counts.live_bytes);
        columns.live_allocations.push_back(counts.live_allocations);
        columns.allocations.push_back(counts.allocations);
        columns.frees.push_back(counts.frees);
        columns.temporary.push_back(counts.temporary);
        columns.allocated_bytes.push_back(counts.allocated_bytes);
        columns.peak_bytes.push_back(std::max(counts.peak_bytes, counts.live_bytes));
        columns.live_bytes_variance.push_back(std::max(0.0, variances[row].bytes));
        columns.live_allocations_variance.push_back(std::max(0.0, variances[row].allocations));
    }
    return columns;
}

HeapHeldColumns held_columns(const HeapLedger& ledger, const Overlay& overlay) {
    const std::vector<double> live = live_bytes_of_stacks(ledger, overlay);
    HeapHeldColumns columns;
    for (uint32_t row = 0; row < live.size(); ++row) {
        if (live[row] <= 0) continue;
        columns.stack.push_back(ledger.stacks()[row].key);
        columns.live_bytes.push_back(live[row]);
    }
    return columns;
}

HeapThreadColumns thread_columns(const HeapLedger& ledger, const Overlay& overlay) {
    HeapThreadColumns columns;
    for (const HeapCounts& counts :
         rows_with(ledger.threads(), overlay, [](const HeapDelta& delta) { return delta.thread_row; })) {
        if (counts.allocations == 0) continue;
        columns.thread_id.push_back(counts.key);
        columns.live_bytes.push_back(counts.live_bytes);
        columns.live_allocations.push_back(counts.live_allocations);
        columns.allocations.push_back(counts.allocations);
        columns.frees.push_back(counts.frees);
        columns.temporary.push_back(counts.temporary);
    }
    return columns;
}

HeapSums sums(const HeapLedger& ledger, const Overlay& overlay) {
    HeapSums sums;
    for (uint32_t row = 0; row < ledger.stacks().size(); ++row) {
        const HeapVariance variance = ledger.variance(row);
        add(sums.counts, ledger.stacks()[row]);
        sums.variance.bytes += variance.bytes;
        sums.variance.allocations += variance.allocations;
    }
    sums.before_bytes = ledger.before_bytes();
    sums.before_allocations = ledger.before_allocations();
    for (const HeapDelta& delta : overlay) {
        add(sums.counts, delta.counts);
        sums.variance.bytes += delta.variance.bytes;
        sums.variance.allocations += delta.variance.allocations;
        sums.before_bytes += delta.before_bytes;
        sums.before_allocations += delta.before_allocations;
    }
    sums.variance.bytes = std::max(0.0, sums.variance.bytes);
    sums.variance.allocations = std::max(0.0, sums.variance.allocations);
    sums.counts.peak_bytes = std::max(ledger.peak_bytes(), sums.counts.live_bytes);
    return sums;
}

HeapHistogramColumns size_columns(const HeapLedger& ledger, const Overlay& overlay) {
    HeapHistogramColumns columns;
    for (size_t row = 0; row < kSizeRows; ++row) {
        columns.from.push_back(row == 0 ? 0 : static_cast<double>(1ULL << (row - 1)));
    }
    columns.live_bytes.resize(kSizeRows);
    columns.live_allocations.resize(kSizeRows);
    for_each_live(ledger, overlay,
                  [&](uint32_t, uint32_t, uint64_t bytes, uint32_t, double live_bytes, double live) {
                      const auto row = static_cast<size_t>(std::bit_width(bytes));
                      columns.live_bytes[row] += live_bytes;
                      columns.live_allocations[row] += live;
                  });
    return columns;
}

HeapHistogramColumns age_columns(const HeapLedger& ledger, const Overlay& overlay, uint64_t now,
                                 double seconds) {
    HeapHistogramColumns columns;
    columns.from.assign(std::begin(kAgeSeconds), std::end(kAgeSeconds));
    columns.live_bytes.resize(columns.from.size());
    columns.live_allocations.resize(columns.from.size());
    const uint32_t coarse_now = ledger.coarse(now);
    for_each_live(ledger, overlay,
                  [&](uint32_t, uint32_t, uint64_t, uint32_t born, double live_bytes, double live) {
                      const double age = born < coarse_now ? (coarse_now - born) * seconds : 0;
                      size_t row = columns.from.size() - 1;
                      while (row > 0 && columns.from[row] > age) --row;
                      columns.live_bytes[row] += live_bytes;
                      columns.live_allocations[row] += live;
                  });
    return columns;
}

std::vector<double> frees_of_stacks(const HeapLedger& ledger, const Overlay& overlay) {
    std::vector<double> frees;
    for (const HeapCounts& counts : stack_rows(ledger, overlay)) frees.push_back(counts.frees);
    return frees;
}

HeapSurvivorColumns survivor_columns(const HeapLedger& ledger, const Overlay& overlay, const HeapMark& mark) {
    std::vector<HeapCounts> survivors(ledger.stacks().size());
    for_each_live(ledger, overlay,
                  [&](uint32_t stack_row, uint32_t era, uint64_t, uint32_t, double live_bytes, double live) {
                      if (era < mark.number) return;
                      survivors[stack_row].live_bytes += live_bytes;
                      survivors[stack_row].live_allocations += live;
                      ++survivors[stack_row].live_blocks;
                  });
    const std::vector<double> frees = frees_of_stacks(ledger, overlay);
    HeapSurvivorColumns columns;
    for (uint32_t row = 0; row < survivors.size(); ++row) {
        if (survivors[row].live_blocks == 0) continue;
        columns.stack.push_back(ledger.stacks()[row].key);
        columns.live_bytes.push_back(survivors[row].live_bytes);
        columns.live_allocations.push_back(survivors[row].live_allocations);
        // Less than none where a reallocation that was under way at the mark has failed since.
        const double until_mark = row < mark.frees.size() ? mark.frees[row] : 0;
        columns.frees.push_back(std::max(0.0, frees[row] - until_mark));
    }
    return columns;
}

void raise_peaks(HeapLedger& ledger, const Overlay& overlay) {
    const std::vector<double> live = live_bytes_of_stacks(ledger, overlay);
    ledger.raise_peak(std::accumulate(live.begin(), live.end(), 0.0));
    for (uint32_t row = 0; row < live.size(); ++row) {
        HeapCounts& counts = ledger.stacks()[row];
        counts.peak_bytes = std::max(counts.peak_bytes, live[row]);
    }
}

}  // namespace offheap::addon
