// The layout as readers of other versions know it. A change here is a change of the contract: made on
// purpose, with a new hash.
#include "native/wire/layout.h"

#include <gtest/gtest.h>

namespace offheap::wire {
namespace {

static_assert(sizeof(Event) == 128 && alignof(Event) == 8, "a slot is two cache lines");
static_assert(offsetof(Event, sequence) == 0 && offsetof(Event, operation) == 108);
static_assert(offsetof(Header, magic) == 0, "what tells a channel from another file");
static_assert(offsetof(Header, layout_hash) == 8, "read before anything else is believed");

// Counters that different sides write must not share a cache line.
constexpr uint64_t cache_line(uint64_t offset) { return offset / 64; }
static_assert(cache_line(offsetof(Header, ring_head)) != cache_line(offsetof(Header, ring_tail)));
static_assert(cache_line(offsetof(Header, ring_head)) != cache_line(offsetof(Header, nodes_used)));
static_assert(cache_line(offsetof(Header, ring_tail)) != cache_line(offsetof(Header, nodes_used)));
static_assert(cache_line(offsetof(Header, nodes_used)) != cache_line(offsetof(Header, events_lost)));
static_assert(cache_line(offsetof(Header, ring_tail)) == cache_line(offsetof(Header, consumer_lock)));
// A look-up in the stack tree reads the first, each allocation the second; neither must wait for a counter.
static_assert(cache_line(offsetof(Header, index_bits)) != cache_line(offsetof(Header, nodes_used)));
static_assert(cache_line(offsetof(Header, heap_control)) != cache_line(offsetof(Header, lanes_used)));
static_assert(cache_line(offsetof(Header, heap_control)) != cache_line(offsetof(Header, index_migrated)));
static_assert(cache_line(offsetof(Header, heap_control)) != cache_line(offsetof(Header, ring_tail)));
static_assert(cache_line(offsetof(Header, lanes_used)) == cache_line(offsetof(Header, heap_events_lost)));
static_assert(cache_line(offsetof(Header, lanes_used)) != cache_line(offsetof(Header, nodes_used)));
// Threads write there while others allocate.
static_assert(cache_line(offsetof(Header, heap_control)) != cache_line(offsetof(Header, request)));
static_assert(cache_line(offsetof(Header, heap_beat_ns)) != cache_line(offsetof(Header, request)));
static_assert(sizeof(Header) <= kPageBytes && sizeof(Header) % 8 == 0, "the bits of free chunks follow");

// The values that records on disk hold.
static_assert(static_cast<int>(Operation::kNone) == 0 && static_cast<int>(Operation::kSeed) == 1);
static_assert(static_cast<int>(Phase::kComplete) == 0 && static_cast<int>(Phase::kFailed) == 3);
static_assert(static_cast<int>(HeapMode::kOff) == 0 && static_cast<int>(HeapMode::kExact) == 2);
static_assert(static_cast<int>(HeapEventKind::kNothing) == 0 &&
              static_cast<int>(HeapEventKind::kThread) == 6);

// The hash of a structure of our own, made as layout_hash() makes it.
#define OFFHEAP_HASH_FIELD(type, name, offset) \
    hash = hash_text(hash_text(hash_text(hash, #type), #name), #offset);
#define OFFHEAP_HASH_OF(fields)                 \
    [] {                                        \
        uint64_t hash = 0xcbf29ce484222325ULL;  \
        fields(OFFHEAP_HASH_FIELD) return hash; \
    }()
#define ORIGINAL(X) X(uint32_t, first, 0) X(uint32_t, second, 4)
#define MOVED(X) X(uint32_t, first, 4) X(uint32_t, second, 0)
#define RENAMED(X) X(uint32_t, first, 0) X(uint32_t, other, 4)
#define RETYPED(X) X(uint32_t, first, 0) X(int32_t, second, 4)
#define SWAPPED(X) X(uint32_t, second, 4) X(uint32_t, first, 0)
#define SHORTER(X) X(uint32_t, first, 0)
static_assert(OFFHEAP_HASH_OF(ORIGINAL) == OFFHEAP_HASH_OF(ORIGINAL));
static_assert(OFFHEAP_HASH_OF(ORIGINAL) != OFFHEAP_HASH_OF(MOVED));
static_assert(OFFHEAP_HASH_OF(ORIGINAL) != OFFHEAP_HASH_OF(RENAMED));
static_assert(OFFHEAP_HASH_OF(ORIGINAL) != OFFHEAP_HASH_OF(RETYPED));
static_assert(OFFHEAP_HASH_OF(ORIGINAL) != OFFHEAP_HASH_OF(SWAPPED));
static_assert(OFFHEAP_HASH_OF(ORIGINAL) != OFFHEAP_HASH_OF(SHORTER));

// The whole contract once more, as layout_hash() walks it.
constexpr uint64_t hash_with_first_event_field(const char* name) {
    uint64_t hash = 0xcbf29ce484222325ULL;
#define OFFHEAP_NAMED_FIELD(type, field, offset)                                       \
    {                                                                                  \
        const bool is_first_of_event = in_event && offset == 0;                        \
        hash = hash_text(hash, #type);                                                 \
        hash = hash_text(hash_text(hash, is_first_of_event ? name : #field), #offset); \
    }
#define OFFHEAP_NAMED_STRUCTURE(structure, fields)                               \
    {                                                                            \
        const bool in_event = hash_text(0, #structure) == hash_text(0, "Event"); \
        hash = hash_text(hash, #structure);                                      \
        fields(OFFHEAP_NAMED_FIELD)                                              \
    }
#define OFFHEAP_NAMED_ENTRY(id, text) hash = hash_text(hash_text(hash, #id), text);
    OFFHEAP_STRUCTURES(OFFHEAP_NAMED_STRUCTURE)
    OFFHEAP_OPERATIONS(OFFHEAP_NAMED_ENTRY)
    OFFHEAP_PHASES(OFFHEAP_NAMED_ENTRY)
    OFFHEAP_PROCESS_STATES(OFFHEAP_NAMED_ENTRY)
    OFFHEAP_BEGINNINGS(OFFHEAP_NAMED_ENTRY)
    OFFHEAP_CLOCKS(OFFHEAP_NAMED_ENTRY)
    OFFHEAP_SITE_STATES(OFFHEAP_NAMED_ENTRY)
    OFFHEAP_DEGRADATIONS(OFFHEAP_NAMED_ENTRY)
    OFFHEAP_HEAP_MODES(OFFHEAP_NAMED_ENTRY)
    OFFHEAP_HEAP_EVENT_KINDS(OFFHEAP_NAMED_ENTRY)
    OFFHEAP_REQUEST_KINDS(OFFHEAP_NAMED_ENTRY)
    OFFHEAP_ANSWERS(OFFHEAP_NAMED_ENTRY)
    OFFHEAP_MEMORY_RETURNS(OFFHEAP_NAMED_ENTRY)
    OFFHEAP_STATISTICS_SOURCES(OFFHEAP_NAMED_ENTRY)
    OFFHEAP_SIZE_ROUNDINGS(OFFHEAP_NAMED_ENTRY)
    OFFHEAP_JEMALLOC_STATISTICS(OFFHEAP_NAMED_ENTRY)
    OFFHEAP_TCMALLOC_STATISTICS(OFFHEAP_NAMED_ENTRY)
    return hash;
}

TEST(Layout, hash_covers_every_list) { EXPECT_EQ(hash_with_first_event_field("sequence"), layout_hash()); }

TEST(Layout, hash_changes_with_one_name) {
    EXPECT_NE(hash_with_first_event_field("sequences"), layout_hash());
}

TEST(Layout, hash_separates_texts) {
    EXPECT_NE(hash_text(hash_text(1, "ab"), "c"), hash_text(hash_text(1, "a"), "bc"));
}

TEST(Layout, structures_have_no_gaps) {
    // A byte that no field owns would carry what lay in memory before to the reader.
    uint64_t end = 0;
#define OFFHEAP_FOLLOWS(type, name, offset)              \
    EXPECT_EQ(uint64_t{offset}, end) << "before " #name; \
    end = offset + sizeof(type);
#define OFFHEAP_WITHOUT_GAPS(structure, fields) \
    end = 0;                                    \
    fields(OFFHEAP_FOLLOWS) EXPECT_EQ(end, sizeof(structure));
    OFFHEAP_STRUCTURES(OFFHEAP_WITHOUT_GAPS)
}

}  // namespace
}  // namespace offheap::wire
