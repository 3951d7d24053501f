#include "native/addon/glibc_heap_chain.h"

#include <algorithm>

#include "native/addon/glibc_heap_headers.h"

namespace offheap::addon {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kSmallestChunk = 32;
constexpr uint64_t kFencepostBytes = 16;
constexpr uint64_t kAlignment = 16;
// The header and the links that a free chunk keeps in its own memory (struct malloc_chunk).
constexpr uint64_t kFreeChunkBytes = 48;
// A size of nothing behind a chunk in use: the end of a heap that was left for a new one.
constexpr uint64_t kEndWord = kPreviousInUse;
// What makes an address the beginning of a chain rather than a number that looks like a size.
constexpr int kSoundChunks = 8;
// How often a walk goes back before it gives the heap up.
constexpr int kAttempts = 12;

bool is_sound(const ChunkHeader& header, uint64_t at, uint64_t end) {
    return (header.size_word & (kAlignment - 1) & ~kChunkFlags) == 0 && (header.size_word & kIsMapped) == 0 &&
           header.bytes() >= kSmallestChunk && header.bytes() <= end - at;
}

// Whether a header at `start` is followed by others, as those of a chain are.
bool begins_chain(ChunkHeaders& headers, uint64_t start, uint64_t end) {
    ChunkHeader header;
    uint64_t at = start;
    for (int sound = 0; sound < kSoundChunks; ++sound) {
        if (!headers.at(at, header)) return false;
        // Nothing is free before the first chunk.
        if (at == start && !header.previous_in_use()) return false;
        if ((header.size_word & ~kPreviousInUse) == kFencepostBytes && sound > 1) return true;
        if (!is_sound(header, at, end)) return false;
        at += header.bytes();
        if (at == end) return true;
    }
    return true;
}

uint64_t find_chain(ChunkHeaders& headers, uint64_t from, uint64_t limit, uint64_t end) {
    from = (from + kAlignment - 1) & ~(kAlignment - 1);
    ChunkHeader header;
    for (uint64_t start = from; start < limit; start += kAlignment) {
        if (!headers.resident_at(start, header)) return end;
        if (header.size_word != 0 && begins_chain(headers, start, end)) return start;
    }
    return end;
}

// A place in a chain: all before it is counted, but for the chunk before it, which is in use or free as the
// header here says.
struct Place {
    uint64_t at = 0;
    uint64_t previous_bytes = 0;  // 0: no chunk stands before
    bool free_before_previous =
        false;            // then the previous one must be in use: free neighbours are joined at once
    size_t retained = 0;  // length of the list
    HeapFigures figures;  // without the list
};

enum class Step { on, closed, broken };

class Walk {
  public:
    Walk(TargetMemory& memory, uint64_t first, uint64_t end, const AskedBlocks* asked)
        : memory_(memory), headers_(memory, first, end), end_(end), asked_(asked) {
        place_.at = first;
        places_.push_back(place_);
    }

    bool run() {
        for (int attempt = 0; attempt < kAttempts; ++attempt) {
            Step step;
            while ((step = advance()) == Step::on) {
                if (place_.at - places_.back().at >= ChunkHeaders::kPieceBytes) keep_place();
            }
            if (step == Step::closed) {
                count_expected();
                return true;
            }
            if (is_lasting()) return false;
            go_back(attempt);
        }
        return false;
    }

    void add_to(HeapFigures& sum) {
        const HeapFigures& own = place_.figures;
        sum.chunks += own.chunks;
        sum.in_use_chunks += own.in_use_chunks;
        sum.in_use_bytes += own.in_use_bytes;
        sum.free_bytes += own.free_bytes;
        sum.top_bytes += own.top_bytes;
        sum.metadata_bytes += own.metadata_bytes;
        sum.foreign_bytes += own.foreign_bytes;
        sum.asked_blocks += own.asked_blocks;
        sum.asked_bytes += own.asked_bytes;
        sum.slack_bytes += own.slack_bytes;
        sum.slack_resident_bytes += own.slack_resident_bytes;
        sum.slack_variance += own.slack_variance;
        sum.retained.insert(sum.retained.end(), retained_.begin(), retained_.end());
    }

  private:
    Step advance() {
        ChunkHeader header;
        if (place_.at >= end_ || !headers_.at(place_.at, header)) return Step::broken;
        if (!settle_previous(header)) return Step::broken;
        if (header.size_word == kEndWord && place_.at + kFencepostBytes == end_) {
            place_.figures.metadata_bytes += kFencepostBytes;
            return Step::closed;
        }
        if ((header.size_word & ~kPreviousInUse) == kFencepostBytes) return pass_fenceposts();
        if (!is_sound(header, place_.at, end_)) return Step::broken;
        if (place_.at + header.bytes() == end_) return close_at_top(header);
        place_.free_before_previous = !header.previous_in_use();
        place_.previous_bytes = header.bytes();
        place_.at += header.bytes();
        return Step::on;
    }

    // Counts the chunk before, now that the header behind it tells whether it is in use.
    bool settle_previous(const ChunkHeader& header) {
        const uint64_t bytes = place_.previous_bytes;
        HeapFigures& figures = place_.figures;
        if (header.previous_in_use()) {
            if (bytes == 0) return true;
            figures.in_use_chunks += 1;
            figures.in_use_bytes += bytes - kChunkOverheadBytes;
            figures.metadata_bytes += kChunkOverheadBytes;
            if (asked_ != nullptr) expect(place_.at - bytes, bytes);
        } else {
            if (bytes == 0 || header.previous_bytes != bytes || place_.free_before_previous) return false;
            figures.free_bytes += bytes;
            retain(place_.at - bytes + kFreeChunkBytes, place_.at);
        }
        figures.chunks += 1;
        return true;
    }

    // A stretch of the heap ends: two fenceposts keep what follows from being joined with it. In the main
    // heap that may be others' memory, and a new chain behind it.
    Step pass_fenceposts() {
        ChunkHeader second;
        if (!headers_.at(place_.at + kFencepostBytes, second)) return Step::broken;
        const uint64_t behind = place_.at + 2 * kFencepostBytes;
        if (second.size_word != kEndWord && second.size_word != (kFencepostBytes | kPreviousInUse)) {
            return Step::broken;
        }
        place_.figures.metadata_bytes += 2 * kFencepostBytes;
        place_.previous_bytes = 0;
        place_.free_before_previous = false;
        if (behind == end_) return Step::closed;
        place_.at = find_chain(headers_, behind, end_, end_);
        place_.figures.foreign_bytes += place_.at - behind;
        return place_.at == end_ ? Step::broken : Step::on;
    }

    Step close_at_top(const ChunkHeader& header) {
        // What is freed before the top becomes part of it.
        if (!header.previous_in_use()) return Step::broken;
        place_.figures.top_bytes += header.bytes();
        // The smallest chunk of a top always stays.
        retain(place_.at + kSmallestChunk, end_);
        return Step::closed;
    }

    void retain(uint64_t start, uint64_t end) {
        start = (start + kPageBytes - 1) & ~(kPageBytes - 1);
        end &= ~(kPageBytes - 1);
        if (start < end) retained_.push_back({start, end});
    }

    // A look-up is a cache miss; some at a time go on while the walk does.
    void expect(uint64_t chunk, uint64_t bytes) {
        if (expected_ == kExpected) count_expected();
        const uint64_t block = chunk + kChunkHeaderBytes;
        usable_[expected_++] = {block, block + bytes - kChunkOverheadBytes};
        asked_->expect(block);
    }

    void count_expected() {
        for (size_t i = 0; i < expected_; ++i) {
            count_asked(memory_, *asked_, usable_[i], /*has_next=*/true, place_.figures);
        }
        expected_ = 0;
    }

    void keep_place() {
        count_expected();
        place_.retained = retained_.size();
        places_.push_back(place_);
    }

    // Whether the walk has come from the very beginning to where it failed before, and found nothing changed:
    // then this is no moment's matter.
    bool is_lasting() {
        ChunkHeader header = {};
        memory_.read(place_.at, &header, sizeof header);
        const bool same = from_beginning_ && place_.at == failed_at_ && header.size_word == failed_word_;
        failed_at_ = place_.at;
        failed_word_ = header.size_word;
        return same;
    }

    // The longer it fails, the farther: what was joined meanwhile may begin well before the place of the last
    // failure.
    void go_back(int attempt) {
        const size_t steps = std::min<size_t>(places_.size() - 1, attempt == 0 ? 0 : 1ULL << (2 * attempt));
        places_.resize(places_.size() - steps);
        place_ = places_.back();
        from_beginning_ = places_.size() == 1;
        retained_.resize(place_.retained);
        headers_.forget();
        expected_ = 0;
    }

    static constexpr size_t kExpected = 32;

    TargetMemory& memory_;
    ChunkHeaders headers_;
    uint64_t end_;
    const AskedBlocks* asked_;
    AddressRange usable_[kExpected];  // of chunks in use since the last look-ups
    size_t expected_ = 0;
    Place place_;
    std::vector<Place> places_;
    bool from_beginning_ = false;
    uint64_t failed_at_ = 0;
    uint64_t failed_word_ = 0;
    std::vector<AddressRange> retained_;
};

// How much of a range, which lies behind a chunk's header at `header`, is on pages in memory. Where a header
// stands the page is: it was written.
uint64_t resident_slack(TargetMemory& memory, uint64_t header, AddressRange slack, bool has_next) {
    const uint64_t first = slack.start / kPageBytes, last = (slack.end - 1) / kPageBytes;
    const bool is_certain = first == header / kPageBytes || (has_next && first == slack.end / kPageBytes);
    if (first == last && is_certain) return slack.end - slack.start;
    std::vector<uint8_t> is_resident(last - first + 1);
    memory.find_resident(first * kPageBytes, is_resident.size(), is_resident.data());
    uint64_t bytes = 0;
    for (uint64_t page = first; page <= last; ++page) {
        if (is_resident[page - first] == 0) continue;
        bytes += std::min(slack.end, (page + 1) * kPageBytes) - std::max(slack.start, page * kPageBytes);
    }
    return bytes;
}

}  // namespace

void count_asked(TargetMemory& memory, const AskedBlocks& asked, AddressRange usable, bool has_next,
                 HeapFigures& figures) {
    AskedBlock block;
    if (!asked.find(usable.start, block)) return;
    // Another block is there by now.
    if (block.bytes > usable.end - usable.start) return;
    const AddressRange slack = {usable.start + block.bytes, usable.end};
    figures.asked_blocks += block.weight;
    figures.asked_bytes += block.weight * static_cast<double>(block.bytes);
    if (slack.start == slack.end) return;
    const uint64_t resident = resident_slack(memory, usable.start - kChunkOverheadBytes, slack, has_next);
    const auto bytes = static_cast<double>(slack.end - slack.start);
    figures.slack_bytes += block.weight * bytes;
    figures.slack_variance += block.variance * bytes * bytes;
    figures.slack_resident_bytes += block.weight * static_cast<double>(resident);
}

bool walk_chain(TargetMemory& memory, uint64_t first, uint64_t end, const AskedBlocks* asked,
                HeapFigures& figures) {
    if (first % kAlignment != 0 || first >= end || end - first < kChunkHeaderBytes) return false;
    Walk walk(memory, first, end, asked);
    if (!walk.run()) return false;
    walk.add_to(figures);
    return true;
}

bool may_be_first_chunk(TargetMemory& memory, uint64_t address, uint64_t end) {
    ChunkHeader header;
    return address < end && memory.read(address, &header, sizeof header) && header.previous_in_use() &&
           is_sound(header, address, end);
}

uint64_t find_chain(TargetMemory& memory, uint64_t from, uint64_t limit, uint64_t end) {
    if (from >= end) return end;
    ChunkHeaders headers(memory, from, end);
    return find_chain(headers, from, limit, end);
}

}  // namespace offheap::addon
