#include "native/addon/python_arenas.h"

#include <string.h>

#include <algorithm>

namespace offheap::addon {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kOldPoolBytes = 4 << 10;
constexpr uint64_t kPoolBytes = 16 << 10;
constexpr uint64_t kSmallestArenaBytes = 256 << 10;
constexpr uint64_t kAlignment = 16;
constexpr uint64_t kSizeClasses = 32;  // of blocks up to 512 bytes
constexpr uint64_t kPoolsAtOnce = 512;
constexpr int kHeaderAttempts = 3;
constexpr uint64_t kCertainHeaders = 32;

// struct pool_header, the same in CPython 3.5 to 3.14.
struct PoolHeader {
    uint64_t blocks_in_use;  // 32 bits of it are used
    uint64_t first_free;
    uint64_t next_pool, previous_pool;
    uint32_t arena;
    uint32_t size_class;
    uint32_t next_offset;  // from here on no block was ever handed out
    uint32_t last_offset;  // of the last block that fits

    uint64_t count() const { return blocks_in_use & 0xffff'ffffU; }
    uint64_t bytes_each() const { return (size_class + 1) * kAlignment; }
    bool is_empty() const {
        const PoolHeader none = {};
        return memcmp(this, &none, sizeof none) == 0;
    }

    // Whether the numbers fit together, and the list of free blocks begins in this pool.
    bool is_sound(uint64_t pool, uint64_t pool_bytes) const {
        if (size_class >= kSizeClasses || last_offset + bytes_each() != pool_bytes) return false;
        const uint64_t offset = next_offset;
        if (offset < sizeof *this + 2 * bytes_each() || offset > pool_bytes) return false;
        if ((offset - sizeof *this) % bytes_each() != 0) return false;
        if (first_free != 0 && (first_free < pool + sizeof *this || first_free >= pool + pool_bytes))
            return false;
        return count() <= (offset - sizeof *this) / bytes_each();
    }
};
static_assert(sizeof(PoolHeader) == 48);

// What a thread's evaluation stack begins with (struct _stack_chunk).
struct StackChunk {
    uint64_t previous, bytes, top;
};

uint64_t round_up(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

// Some pages of a range, with what stands at the multiples of a pool's size.
class Pages {
  public:
    Pages(TargetMemory& memory, uint64_t start, uint64_t end, uint64_t pool_bytes)
        : start_(start),
          end_(end),
          pool_bytes_(pool_bytes),
          first_(round_up(start, pool_bytes)),
          headers_(first_ < end ? (end - first_) / pool_bytes : 0),
          is_resident_((end - start) / kPageBytes) {
        if (!headers_.empty()) {
            memory.read_page_starts(first_, headers_.size(), pool_bytes / kPageBytes,
                                    reinterpret_cast<uint8_t*>(headers_.data()), sizeof(PoolHeader));
        }
        memory.find_resident(start, is_resident_.size(), is_resident_.data());
    }

    uint64_t start() const { return start_; }
    uint64_t end() const { return end_; }
    uint64_t first_pool() const { return std::min(first_, end_); }
    uint64_t pools() const { return headers_.size(); }
    PoolHeader& header(uint64_t pool) { return headers_[(pool - first_) / pool_bytes_]; }
    bool is_resident(uint64_t address) const { return is_resident_[index(address)] != 0; }
    uint64_t resident_bytes(uint64_t start, uint64_t end) const {
        const auto first = is_resident_.begin();
        return kPageBytes * std::count(first + index(start), first + index(end), 1);
    }

  private:
    size_t index(uint64_t address) const { return (address - start_) / kPageBytes; }

    uint64_t start_, end_, pool_bytes_, first_;
    std::vector<PoolHeader> headers_;
    std::vector<uint8_t> is_resident_;
};

template <typename Visit>
void for_pages(TargetMemory& memory, const AddressRange& range, uint64_t pool_bytes, Visit visit) {
    for (uint64_t at = range.start; at < range.end;) {
        // Cut where no pool is cut.
        const uint64_t end = std::min(range.end, at / kPoolBytes * kPoolBytes + kPoolsAtOnce * pool_bytes);
        Pages pages(memory, at, end, pool_bytes);
        visit(pages);
        at = end;
    }
}

// The size that most headers fit, of so many as make it certain: all pools of an interpreter are alike.
uint64_t find_pool_bytes(TargetMemory& memory, const std::vector<AddressRange>& ranges) {
    uint64_t large = 0;
    uint64_t small = 0;
    for (const AddressRange& range : ranges) {
        if (large + small >= kCertainHeaders) break;
        for_pages(memory, range, kPoolBytes, [&](Pages& pages) {
            for (uint64_t i = 0; i < pages.pools(); ++i) {
                const uint64_t pool = pages.first_pool() + i * kPoolBytes;
                large += pages.header(pool).is_sound(pool, kPoolBytes) ? 1 : 0;
                small += pages.header(pool).is_sound(pool, kOldPoolBytes) ? 1 : 0;
            }
        });
    }
    if (large + small == 0) return 0;
    return large >= small ? kPoolBytes : kOldPoolBytes;
}

bool is_stack(TargetMemory& memory, const AddressRange& range) {
    const uint64_t bytes = range.end - range.start;
    if (bytes >= kSmallestArenaBytes) return false;
    StackChunk chunk;
    memory.read_page_starts(range.start, 1, 1, reinterpret_cast<uint8_t*>(&chunk), sizeof chunk);
    return chunk.bytes == bytes && chunk.previous % kPageBytes == 0 && chunk.top * sizeof(uint64_t) <= bytes;
}

void count_pool(TargetMemory& memory, Pages& pages, uint64_t pool, PythonFigures& sum) {
    const uint64_t end = pool + sum.pool_bytes;
    const uint64_t resident = pages.resident_bytes(pool, end);
    PoolHeader& header = pages.header(pool);
    if (!pages.is_resident(pool)) {
        sum.unread += resident;
        return;
    }
    if (header.is_empty()) {
        sum.retained += resident;
        return;
    }
    for (int attempt = 1; !header.is_sound(pool, sum.pool_bytes); ++attempt) {
        if (attempt == kHeaderAttempts) {
            sum.unread += resident;
            return;
        }
        memory.read_page_starts(pool, 1, 1, reinterpret_cast<uint8_t*>(&header), sizeof header);
    }
    const uint64_t block_bytes = header.count() * header.bytes_each();
    if (block_bytes == 0) {
        sum.retained += resident;
        return;
    }
    ++sum.pools_in_use;
    sum.blocks += header.count();
    sum.block_bytes += block_bytes;
    const uint64_t used_end = std::min(end, round_up(pool + header.next_offset, kPageBytes));
    const uint64_t used = pages.resident_bytes(pool, used_end) - sizeof header;
    const uint64_t live = std::min(block_bytes, used);
    sum.live += live;
    sum.slack += used - live;
    sum.metadata += sizeof header;
    sum.retained += pages.resident_bytes(used_end, end);
}

void count_pages(TargetMemory& memory, Pages& pages, PythonFigures& sum) {
    const uint64_t first = pages.first_pool();
    const uint64_t end = first + pages.pools() * sum.pool_bytes;
    for (uint64_t pool = first; pool < end; pool += sum.pool_bytes) count_pool(memory, pages, pool, sum);
    // An arena begins where the kernel puts it: what is beside the multiples is never used.
    sum.slack += pages.resident_bytes(pages.start(), first) + pages.resident_bytes(end, pages.end());
}

}  // namespace

PythonFigures read_python_arenas(TargetMemory& memory, const std::vector<AddressRange>& ranges) {
    PythonFigures sum;
    sum.pool_bytes = find_pool_bytes(memory, ranges);
    for (const AddressRange& range : ranges) {
        const bool stack = is_stack(memory, range);
        for_pages(memory, range, sum.pool_bytes != 0 ? sum.pool_bytes : kPoolBytes, [&](Pages& pages) {
            if (!stack && sum.pool_bytes != 0) return count_pages(memory, pages, sum);
            (stack ? sum.frames : sum.unread) += pages.resident_bytes(pages.start(), pages.end());
        });
    }
    return sum;
}

}  // namespace offheap::addon
