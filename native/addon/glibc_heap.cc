#include "native/addon/glibc_heap.h"

#include <string.h>

#include <algorithm>

namespace offheap::addon {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kHeapSpanBytes = 64ULL << 20;
// sizeof(struct malloc_state) since glibc 2.27; the next lines hold the others, older and newer.
constexpr uint64_t kArenaStateBytes = 0x898;
constexpr uint64_t kSmallestArenaStateBytes = 0x800;
constexpr uint64_t kLargestArenaStateBytes = 0x900;
// An arena's heap says itself how long it is, and may have grown meanwhile.
constexpr int kHeapAttempts = 2;
constexpr uint64_t kPagesAtOnce = 512;
// So many pages in a row that begin no block (64 MiB) are somebody else's heap: the rest of it isn't looked
// at.
constexpr uint64_t kMostMisses = 16384;

// The beginning of struct heap_info, the same in all releases that have arenas' heaps of this span.
struct HeapInfo {
    uint64_t arena;
    uint64_t previous_heap;
    uint64_t bytes;
    uint64_t accessible_bytes;

    uint64_t first_heap() const { return arena & ~(kHeapSpanBytes - 1); }
    // The arena's state follows the first heap's own; this is how long that is in this release: 32 or 48
    // bytes.
    uint64_t info_bytes() const { return arena - first_heap(); }
};

// How far it reaches is its own word: it may have grown since the mappings were listed.
bool is_heap(const HeapInfo& info, uint64_t base) {
    const bool is_first = info.first_heap() == base;
    return info.first_heap() != 0 && info.info_bytes() >= sizeof info && info.info_bytes() <= 64 &&
           info.info_bytes() % 16 == 0 && info.bytes >= kPageBytes && info.bytes % kPageBytes == 0 &&
           info.bytes <= info.accessible_bytes && info.accessible_bytes <= kHeapSpanBytes &&
           info.previous_heap % kHeapSpanBytes == 0 && (info.previous_heap == 0) == is_first;
}

uint64_t first_chunk(TargetMemory& memory, const HeapInfo& info, uint64_t base, uint64_t end) {
    const auto aligned = [](uint64_t address) { return (address + 15) & ~15ULL; };
    if (info.first_heap() != base) return aligned(base + info.info_bytes());
    const uint64_t usual = aligned(info.arena + kArenaStateBytes);
    if (may_be_first_chunk(memory, usual, end)) return usual;
    return find_chain(memory, info.arena + kSmallestArenaStateBytes, info.arena + kLargestArenaStateBytes,
                      end);
}

// The heap's end; 0 where no heap begins here.
uint64_t read_arena_heap(TargetMemory& memory, uint64_t base, const AskedBlocks* asked, GlibcHeaps& result) {
    uint64_t end = 0;
    for (int attempt = 0; attempt < kHeapAttempts; ++attempt) {
        HeapInfo info;
        if (!memory.read(base, &info, sizeof info) || !is_heap(info, base)) break;
        end = base + info.bytes;
        GlibcHeap heap = {GlibcHeapKind::kArena, {base, end}, info.arena, {}};
        const uint64_t first = first_chunk(memory, info, base, end);
        if (!walk_chain(memory, first, end, asked, heap.figures)) continue;
        heap.figures.metadata_bytes += first - base;
        result.heaps.push_back(std::move(heap));
        return end;
    }
    if (end != 0) result.unread.push_back({base, end});
    return end;
}

// The length of the mapped block that begins with this page; 0 where none does.
uint64_t mapped_block_bytes(const ChunkHeader& header, uint64_t page, uint64_t end) {
    const uint64_t bytes = header.bytes();
    const bool is_mapped = header.previous_bytes == 0 && (header.size_word & kChunkFlags) == kIsMapped &&
                           bytes % kPageBytes == 0 && bytes != 0 && bytes <= end - page;
    return is_mapped ? bytes : 0;
}

void count_mapped_block(TargetMemory& memory, uint64_t page, uint64_t bytes, const AskedBlocks* asked,
                        GlibcHeaps& result) {
    const bool follows = !result.heaps.empty() && result.heaps.back().kind == GlibcHeapKind::kMapped &&
                         result.heaps.back().range.end == page;
    if (!follows) result.heaps.push_back({GlibcHeapKind::kMapped, {page, page}, 0, {}});
    GlibcHeap& heap = result.heaps.back();
    heap.range.end = page + bytes;
    heap.figures.chunks += 1;
    heap.figures.in_use_chunks += 1;
    heap.figures.in_use_bytes += bytes - kChunkHeaderBytes;
    heap.figures.metadata_bytes += kChunkHeaderBytes;
    if (asked == nullptr) return;
    count_asked(memory, *asked, {page + kChunkHeaderBytes, page + bytes}, /*has_next=*/false, heap.figures);
}

}  // namespace

void read_main_heap(TargetMemory& memory, AddressRange range, const AskedBlocks* asked, GlibcHeaps& result) {
    if (range.start >= range.end) return;
    // Others may have moved the break before malloc did; and without randomized addresses it begins within a
    // page.
    const uint64_t first = may_be_first_chunk(memory, range.start, range.end)
                               ? range.start
                               : find_chain(memory, range.start, range.end, range.end);
    GlibcHeap heap = {GlibcHeapKind::kMain, range, 0, {}};
    if (!walk_chain(memory, first, range.end, asked, heap.figures)) {
        result.unread.push_back(range);
        return;
    }
    heap.figures.foreign_bytes += first - range.start;
    result.heaps.push_back(std::move(heap));
}

void read_anonymous_heaps(TargetMemory& memory, AddressRange range, const AskedBlocks* asked,
                          GlibcHeaps& result) {
    std::vector<uint8_t> starts(kPagesAtOnce * sizeof(ChunkHeader));
    AddressRange held = {};
    uint64_t misses = 0;
    for (uint64_t page = range.start & ~(kPageBytes - 1); page < range.end;) {
        if (page % kHeapSpanBytes == 0) {
            const uint64_t end = read_arena_heap(memory, page, asked, result);
            if (end != 0) {
                page = end;
                continue;
            }
        }
        if (misses > kMostMisses) {
            page = (page / kHeapSpanBytes + 1) * kHeapSpanBytes;
            continue;
        }
        if (page < held.start || page >= held.end) {
            const uint64_t pages = std::min(kPagesAtOnce, (range.end - page) / kPageBytes);
            if (pages == 0) return;
            held = {page, page + pages * kPageBytes};
            memory.read_page_starts(page, pages, 1, starts.data(), sizeof(ChunkHeader));
        }
        ChunkHeader header;
        memcpy(&header, starts.data() + (page - held.start) / kPageBytes * sizeof header, sizeof header);
        const uint64_t bytes = mapped_block_bytes(header, page, range.end);
        if (bytes != 0) count_mapped_block(memory, page, bytes, asked, result);
        misses = bytes != 0 ? 0 : misses + 1;
        page += bytes != 0 ? bytes : kPageBytes;
    }
}

}  // namespace offheap::addon
