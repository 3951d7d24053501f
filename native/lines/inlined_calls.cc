#include "native/lines/inlined_calls.h"

#include <stdint.h>
#include <stdlib.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "native/lines/libbacktrace_records.h"

namespace offheap::lines::inlined_calls {
namespace {

bool units_are_read = false;
std::vector<std::pair<Range*, size_t>> sorted;

// Behind the last range stands one that holds no address; libbacktrace's other tables of this record size end
// otherwise.
bool is_range_table(const Range* ranges, size_t count) {
    const Range& end = ranges[count];
    return end.low == UINT64_MAX && end.high == UINT64_MAX && end.function == nullptr;
}

bool has_overlaps(const Range* ranges, size_t count) {
    uint64_t highest = 0;
    for (size_t i = 0; i < count; ++i) {
        if (ranges[i].low < highest) return true;
        highest = std::max(highest, ranges[i].high);
    }
    return false;
}

// The same addresses without overlaps: each belongs to the last range that holds it, which is the innermost.
std::vector<Range> flattened(const Range* ranges, size_t count) {
    std::vector<uint64_t> bounds;
    for (size_t i = 0; i < count; ++i) {
        if (ranges[i].low < ranges[i].high) bounds.insert(bounds.end(), {ranges[i].low, ranges[i].high});
    }
    std::sort(bounds.begin(), bounds.end());
    bounds.erase(std::unique(bounds.begin(), bounds.end()), bounds.end());
    std::vector<Range> flat;
    std::set<size_t> open;
    size_t next = 0;
    for (size_t bound = 0; bound + 1 < bounds.size(); ++bound) {
        const uint64_t low = bounds[bound];
        for (; next < count && ranges[next].low <= low; ++next) open.insert(next);
        while (!open.empty() && ranges[*open.rbegin()].high <= low) open.erase(std::prev(open.end()));
        if (open.empty()) continue;
        Function* function = ranges[*open.rbegin()].function;
        if (!flat.empty() && flat.back().high == low && flat.back().function == function) {
            flat.back().high = bounds[bound + 1];
        } else {
            flat.push_back({low, bounds[bound + 1], function});
        }
    }
    return flat;
}

bool repair_calls(Function& function) {
    if (function.call_count == 0 || !has_overlaps(function.calls, function.call_count)) return false;
    std::vector<Range> flat = flattened(function.calls, function.call_count);
    if (flat.empty()) return false;
    const size_t count = flat.size();
    flat.push_back({UINT64_MAX, UINT64_MAX, nullptr});
    auto* table = static_cast<Range*>(malloc(flat.size() * sizeof(Range)));
    if (table == nullptr) return false;
    std::copy(flat.begin(), flat.end(), table);
    // The old one stays: it may be listed in `sorted`.
    function.calls = table;
    function.call_count = count;
    return true;
}

}  // namespace

void module_begun() {
    units_are_read = false;
    sorted.clear();
}

void units_read() { units_are_read = true; }

void table_sorted(void* records, size_t count) {
    auto* ranges = static_cast<Range*>(records);
    if (units_are_read && count > 0 && is_range_table(ranges, count)) sorted.push_back({ranges, count});
}

bool repair() {
    bool repaired = false;
    for (const auto& [ranges, count] : sorted) {
        for (size_t i = 0; i < count; ++i) repaired |= repair_calls(*ranges[i].function);
    }
    sorted.clear();
    return repaired;
}

}  // namespace offheap::lines::inlined_calls
