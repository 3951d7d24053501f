// The contract between the shim in the target and the collector: every byte of a channel file.
//
// Each structure is written once, as an X-list of (type, name, offset). The list makes the C++ struct,
// asserts its offsets, feeds the layout hash that both sides compare before they talk, and is exported by the
// addon as data, so that TypeScript decodes by name. Freestanding: no allocation, no library calls.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace offheap::wire {

inline constexpr uint64_t kMagic =
    0x31706165'6866666fULL;  // "ffheap1", little endian, never valid text elsewhere
inline constexpr uint32_t kPageBytes = 4096;
inline constexpr char kVersion[] = "0.1.0";

// ---- enumerations: (name in C++, name in reports). The value is the position in the list. ----

// What the target asked of the kernel. `seed` is a range that was there before the shim started.
#define OFFHEAP_OPERATIONS(X)              \
    X(kNone, "none")                       \
    X(kSeed, "seed")                       \
    X(kMmap, "mmap")                       \
    X(kMunmap, "munmap")                   \
    X(kMremap, "mremap")                   \
    X(kBrk, "brk")                         \
    X(kMadvise, "madvise")                 \
    X(kMprotect, "mprotect")               \
    X(kPkeyMprotect, "pkey_mprotect")      \
    X(kRemapFilePages, "remap_file_pages") \
    X(kProcessMadvise, "process_madvise")  \
    X(kShmat, "shmat")                     \
    X(kShmdt, "shmdt")                     \
    X(kFork, "fork")

// A release is recorded before the call (begin), an acquisition after it (complete); a call that does both
// (mremap) has a begin and an end; `failed` takes back the begin that `refers_to` names.
#define OFFHEAP_PHASES(X)    \
    X(kComplete, "complete") \
    X(kBegin, "begin")       \
    X(kEnd, "end")           \
    X(kFailed, "failed")

#define OFFHEAP_PROCESS_STATES(X) \
    X(kStarting, "starting")      \
    X(kRunning, "running")        \
    X(kExited, "exited")

// How the process came to run what it runs.
#define OFFHEAP_BEGINNINGS(X) \
    X(kExec, "exec")          \
    X(kFork, "fork")

#define OFFHEAP_CLOCKS(X)        \
    X(kMonotonicNs, "monotonic") \
    X(kTimeStampCounter, "tsc")

#define OFFHEAP_SITE_STATES(X)     \
    X(kPatched, "patched")         \
    X(kUnpatchable, "unpatchable") \
    X(kInterposed, "interposed")

// Why a recording is less than complete: bit n of `degraded` is entry n.
#define OFFHEAP_DEGRADATIONS(X)                                                                           \
    X(kSitesUnpatchable, "some system-call instructions could not be rewritten; calls there are unseen")  \
    X(kSitesInterposed, "rewriting was refused; calls are seen by relocation only, libc's own are not")   \
    X(kChannelSpaceExhausted, "the shared-memory file system is full; events were lost")                  \
    X(kTextSpaceExhausted, "the table of file names is full; later modules have no name")                 \
    X(kStackSpaceExhausted, "the table of stacks is full; later stacks are cut")                          \
    X(kSeedIncomplete, "the mappings from before the start could not all be read")                        \
    X(kUnwindTableMissing, "this libc offers no lock-free unwind table look-up; stacks may be cut")       \
    X(kForkUnanchored, "forked without fork(): what the parent had mapped has no stacks here")            \
    X(kScanLimited, "a file was larger than the scan limit; inline system calls in it are unseen")        \
    X(kCallsAbandoned, "a signal handler jumped out of a recorded call; its outcome is unknown")          \
    X(kHeapUnavailable, "there is no room for heap events; allocations are not recorded")                 \
    X(kHeapOverrun, "the collector was too slow for exact heap events; sampling went on in their place")  \
    X(kHeapBypassed,                                                                                      \
      "another malloc comes before the shim's; its calls of itself, and some by code loaded later, are "  \
      "unseen")                                                                                           \
    X(kPythonUnknown,                                                                                     \
      "this Python's frames are laid out in a way that isn't known; its functions are missing in stacks") \
    X(kLabelsUnsupported, "this kernel can't name memory (CONFIG_ANON_VMA_NAME); nothing is labelled")    \
    X(kLabelsStopped,                                                                                     \
      "labels have split memory into half the areas that vm.max_map_count allows; the rest has none")

// Which allocations are recorded.
#define OFFHEAP_HEAP_MODES(X) \
    X(kOff, "off")            \
    X(kSampled, "sampled")    \
    X(kExact, "exact")

// What a heap event says. `release` and `reallocation` come before the call that frees, `allocation` after
// the one that allocates. `undone`: the reallocation that this lane told last has failed, its block lives on.
// `temporaries`: so many blocks of a stack came and went without events of their own. `thread`: the lane's
// events are another thread's from here on.
#define OFFHEAP_HEAP_EVENT_KINDS(X)  \
    X(kNothing, "nothing")           \
    X(kAllocation, "allocation")     \
    X(kRelease, "release")           \
    X(kReallocation, "reallocation") \
    X(kUndone, "undone")             \
    X(kTemporaries, "temporaries")   \
    X(kThread, "thread")

// What the collector asks a thread of the target to do (native/wire/request.h).
#define OFFHEAP_REQUEST_KINDS(X) \
    X(kNothing, "nothing")       \
    X(kTrim, "trim")             \
    X(kStatistics, "statistics") \
    X(kSizeClasses, "size classes")

// How a request ended. `not offered`: the allocator has no function for it.
#define OFFHEAP_ANSWERS(X) \
    X(kNone, "none")       \
    X(kDone, "done")       \
    X(kNotOffered, "not offered")

// By which function an allocator gives free memory back to the kernel.
#define OFFHEAP_MEMORY_RETURNS(X)                            \
    X(kNothing, "nothing")                                   \
    X(kMallocTrim, "malloc_trim")                            \
    X(kJemallocPurge, "mallctl arena.purge")                 \
    X(kTcmallocRelease, "MallocExtension_ReleaseFreeMemory") \
    X(kMimallocCollect, "mi_collect")

// Which allocators tell what they count.
#define OFFHEAP_STATISTICS_SOURCES(X) \
    X(kNothing, "nothing")            \
    X(kJemalloc, "jemalloc")          \
    X(kTcmalloc, "tcmalloc")

// By which function an allocator tells in which sizes it hands out blocks.
#define OFFHEAP_SIZE_ROUNDINGS(X) \
    X(kNothing, "nothing")        \
    X(kNallocx, "nallocx")        \
    X(kMimallocGoodSize, "mi_good_size")

// The figures, by the allocators' own names, in the order of an answer. 4096 stands for all of jemalloc's
// arenas; its pages are counted in pages.
#define OFFHEAP_JEMALLOC_STATISTICS(X)           \
    X(kAllocated, "stats.allocated")             \
    X(kActive, "stats.active")                   \
    X(kMetadata, "stats.metadata")               \
    X(kCached, "stats.arenas.4096.tcache_bytes") \
    X(kDirtyPages, "stats.arenas.4096.pdirty")   \
    X(kLazyPages, "stats.arenas.4096.pmuzzy")    \
    X(kPageBytes, "arenas.page")

#define OFFHEAP_TCMALLOC_STATISTICS(X)                      \
    X(kAllocated, "generic.current_allocated_bytes")        \
    X(kHeap, "generic.heap_size")                           \
    X(kFreePages, "tcmalloc.pageheap_free_bytes")           \
    X(kReturned, "tcmalloc.pageheap_unmapped_bytes")        \
    X(kPhysical, "generic.total_physical_bytes")            \
    X(kCentralCache, "tcmalloc.central_cache_free_bytes")   \
    X(kTransferCache, "tcmalloc.transfer_cache_free_bytes") \
    X(kThreadCaches, "tcmalloc.thread_cache_free_bytes")

#define OFFHEAP_ENUM_ENTRY(id, text) id,
enum class Operation : uint8_t { OFFHEAP_OPERATIONS(OFFHEAP_ENUM_ENTRY) kCount };
enum class Phase : uint8_t { OFFHEAP_PHASES(OFFHEAP_ENUM_ENTRY) kCount };
enum class ProcessState : uint32_t { OFFHEAP_PROCESS_STATES(OFFHEAP_ENUM_ENTRY) kCount };
enum class Beginning : uint32_t { OFFHEAP_BEGINNINGS(OFFHEAP_ENUM_ENTRY) kCount };
enum class Clock : uint32_t { OFFHEAP_CLOCKS(OFFHEAP_ENUM_ENTRY) kCount };
enum class SiteState : uint8_t { OFFHEAP_SITE_STATES(OFFHEAP_ENUM_ENTRY) kCount };
enum class Degradation : uint8_t { OFFHEAP_DEGRADATIONS(OFFHEAP_ENUM_ENTRY) kCount };
enum class HeapMode : uint8_t { OFFHEAP_HEAP_MODES(OFFHEAP_ENUM_ENTRY) kCount };
enum class HeapEventKind : uint8_t { OFFHEAP_HEAP_EVENT_KINDS(OFFHEAP_ENUM_ENTRY) kCount };
enum class RequestKind : uint8_t { OFFHEAP_REQUEST_KINDS(OFFHEAP_ENUM_ENTRY) kCount };
enum class Answer : uint32_t { OFFHEAP_ANSWERS(OFFHEAP_ENUM_ENTRY) kCount };
enum class MemoryReturn : uint32_t { OFFHEAP_MEMORY_RETURNS(OFFHEAP_ENUM_ENTRY) kCount };
enum class StatisticsSource : uint32_t { OFFHEAP_STATISTICS_SOURCES(OFFHEAP_ENUM_ENTRY) kCount };
enum class SizeRounding : uint32_t { OFFHEAP_SIZE_ROUNDINGS(OFFHEAP_ENUM_ENTRY) kCount };
enum class JemallocStatistic : uint32_t { OFFHEAP_JEMALLOC_STATISTICS(OFFHEAP_ENUM_ENTRY) kCount };
enum class TcmallocStatistic : uint32_t { OFFHEAP_TCMALLOC_STATISTICS(OFFHEAP_ENUM_ENTRY) kCount };
#undef OFFHEAP_ENUM_ENTRY

// Event flags.
inline constexpr uint32_t kFlagStackTruncated = 1u << 0;  // unwinding stopped before the end of the stack
inline constexpr uint32_t kFlagByProfiler = 1u << 1;      // the shim's own mapping
inline constexpr uint32_t kFlagNotCancelled = 1u
                                              << 3;  // a release that failed: the backlog keeps both halves
inline constexpr uint32_t kFlagNested = 1u << 2;     // another recorded call was under way on this thread

// `exit_status` until the process has told its own.
inline constexpr uint32_t kExitStatusUnknown = ~0u;

// A stack node's key: an address in the low 56 bits and its kind in the top byte.
inline constexpr uint64_t kKeyKindShift = 56;
inline constexpr uint64_t kKeyReturnAddress = 0;  // points behind a call: look up key - 1
inline constexpr uint64_t kKeyExactAddress = 1;   // the leaf, or a frame that a signal interrupted
inline constexpr uint64_t kKeyGeneration = 2;     // a root: the low bits are the module load generation
// Python's functions stand in stacks as frames, below the frames of the native code that they call.
inline constexpr uint64_t kKeyPython = 3;  // node of a kKeyPythonCode << 32 | line; 0 where not known
// What those refer to stands in the tree too, where one description has one node, but in no stack. A text is
// a root; its first child tells where it is. A function is a child of its file's name.
inline constexpr uint64_t kKeyText = 4;        // a root: a hash of the text
inline constexpr uint64_t kKeyTextOffset = 5;  // child of a kKeyText: its offset in the text section
inline constexpr uint64_t kKeyPythonCode = 6;  // the function's name, node of a kKeyText, << 32 | first line

// ---- structures: X(type, name, offset in bytes) ----

template <size_t kBytes>
struct Reserved {
    uint8_t bytes[kBytes];
};
template <size_t kCount>
struct Words {
    uint64_t at[kCount];
};

// One memory system call. args are the raw system-call arguments; for `seed`: start, length, protection,
// MAP_* flags, device, file offset, with the inode in `extra`. For `shmat`, `extra` is the segment's bytes.
// `text` names the file of a file mapping with PROT_EXEC and of a seed: an offset in the text section, 0 is
// none.
#define OFFHEAP_EVENT_FIELDS(X)  \
    X(uint64_t, sequence, 0)     \
    X(uint64_t, time, 8)         \
    X(uint64_t, arg0, 16)        \
    X(uint64_t, arg1, 24)        \
    X(uint64_t, arg2, 32)        \
    X(uint64_t, arg3, 40)        \
    X(uint64_t, arg4, 48)        \
    X(uint64_t, arg5, 56)        \
    X(uint64_t, result, 64)      \
    X(uint64_t, refers_to, 72)   \
    X(uint64_t, extra, 80)       \
    X(uint32_t, thread_id, 88)   \
    X(uint32_t, stack, 92)       \
    X(uint32_t, text, 96)        \
    X(uint32_t, generation, 100) \
    X(uint32_t, flags, 104)      \
    X(uint8_t, operation, 108)   \
    X(uint8_t, enclosing, 109)   \
    X(uint8_t, phase, 110)       \
    X(uint8_t, reserved0, 111)   \
    X(uint64_t, reserved1, 112)  \
    X(uint64_t, reserved2, 120)

// A node of the stack tree: one frame, the node of the frame that called it (older, toward the root), and the
// first of those that it called.
#define OFFHEAP_STACK_NODE_FIELDS(X) \
    X(uint64_t, key, 0)              \
    X(uint32_t, parent, 8)           \
    X(uint32_t, first_child, 12)

// A system-call instruction that the shim has rewritten or tried to.
#define OFFHEAP_SITE_FIELDS(X)     \
    X(uint64_t, address, 0)        \
    X(uint32_t, text, 8)           \
    X(uint16_t, patched_bytes, 12) \
    X(uint8_t, operation, 14)      \
    X(uint8_t, state, 15)

// One heap event. `address` holds its kind in the top byte (kHeapKindShift). `sampled_every` is the mean of
// the sampling in bytes that let this allocation through, 0 where all are recorded; of `temporaries` it is
// their number and `bytes` their sum; of `thread` it is the thread's id.
#define OFFHEAP_HEAP_EVENT_FIELDS(X) \
    X(uint64_t, address, 0)          \
    X(uint64_t, time, 8)             \
    X(uint64_t, bytes, 16)           \
    X(uint32_t, stack, 24)           \
    X(uint32_t, sampled_every, 28)

// The first 32 bytes of a chunk. `next` is the number, plus one, of the chunk where the lane goes on.
#define OFFHEAP_CHUNK_FIELDS(X)    \
    X(uint64_t, first_position, 0) \
    X(uint32_t, next, 8)           \
    X(uint32_t, lane, 12)          \
    X(Reserved<16>, reserved_h, 16)

// A thread's way to the collector. `head`: events published so far; `first_chunk`: the number, plus one, of
// the chunk that holds position 0; `tail`: kept by the collector, position << 24 | chunk number + 1 of the
// oldest event that was not read, 0 before it has read any.
#define OFFHEAP_LANE_FIELDS(X)   \
    X(uint64_t, head, 0)         \
    X(uint32_t, first_chunk, 8)  \
    X(uint32_t, thread_id, 12)   \
    X(uint64_t, tail, 16)        \
    X(uint32_t, in_use, 24)      \
    X(uint32_t, next_free, 28)   \
    X(uint64_t, events_lost, 32) \
    X(uint32_t, last_chunk, 40)  \
    X(Reserved<20>, reserved_l, 44)

// Blocks of one stack that came and went inside a lane's window and were not told yet.
#define OFFHEAP_TEMPORARIES_FIELDS(X) \
    X(uint32_t, stack, 0)             \
    X(uint32_t, count, 4)             \
    X(uint64_t, bytes, 8)

// The backlog and the ring together hold all that matters of the events from position `backlog_from` on: a
// collector whose checkpoint reaches that far lacks nothing. Mappings from before `cancel_from` may be in a
// checkpoint, so their release must not be cancelled.
//
// A collector beats as long as its own work goes on, and apart from that its reading of the heap does:
// `heap_beat_ns` is 0 before the first has read, 1 once it has stopped. Who launched the target and is going
// to be its collector is awaited until then.
//
// `heap_time`: native/wire/heap.h. `request` to `request_argument`: native/wire/request.h.
//
// The head of the channel file. Counters that different sides write stand on different cache lines.
#define OFFHEAP_HEADER_FIELDS(X)           \
    X(uint64_t, magic, 0)                  \
    X(uint64_t, layout_hash, 8)            \
    X(uint64_t, version0, 16)              \
    X(uint64_t, version1, 24)              \
    X(uint64_t, channel_id, 32)            \
    X(uint64_t, parent_channel_id, 40)     \
    X(uint64_t, parent_position, 48)       \
    X(uint32_t, process_id, 56)            \
    X(uint32_t, parent_process_id, 60)     \
    X(uint64_t, process_start_ticks, 64)   \
    X(uint64_t, start_unix_ns, 72)         \
    X(uint64_t, start_monotonic_ns, 80)    \
    X(uint64_t, start_clock, 88)           \
    X(uint32_t, clock, 96)                 \
    X(uint32_t, state, 100)                \
    X(uint64_t, file_bytes, 104)           \
    X(uint64_t, ring_offset, 112)          \
    X(uint64_t, ring_capacity, 120)        \
    X(uint64_t, nodes_offset, 128)         \
    X(uint64_t, nodes_capacity, 136)       \
    X(uint64_t, index_offset, 144)         \
    X(uint64_t, index_capacity, 152)       \
    X(uint64_t, text_offset, 160)          \
    X(uint64_t, text_capacity, 168)        \
    X(uint64_t, sites_offset, 176)         \
    X(uint64_t, sites_capacity, 184)       \
    X(uint32_t, command_text, 192)         \
    X(uint32_t, command_bytes, 196)        \
    X(uint64_t, seed_events, 200)          \
    X(uint64_t, backlog_offset, 208)       \
    X(uint64_t, backlog_capacity, 216)     \
    X(uint32_t, beginning, 224)            \
    X(uint32_t, exit_status, 228)          \
    X(Reserved<24>, reserved_a, 232)       \
    X(uint64_t, ring_head, 256)            \
    X(uint64_t, ring_reserved, 264)        \
    X(Reserved<48>, reserved_b, 272)       \
    X(uint64_t, ring_tail, 320)            \
    X(uint64_t, collector_beat_ns, 328)    \
    X(uint32_t, collector_process_id, 336) \
    X(uint32_t, consumer_lock, 340)        \
    X(uint64_t, backlog_used, 344)         \
    X(uint64_t, backlog_position, 352)     \
    X(uint64_t, events_cancelled, 360)     \
    X(uint64_t, backlog_from, 368)         \
    X(uint64_t, cancel_from, 376)          \
    X(uint64_t, nodes_used, 384)           \
    X(uint64_t, nodes_reserved, 392)       \
    X(uint64_t, text_used, 400)            \
    X(uint64_t, sites_used, 408)           \
    X(uint64_t, generation, 416)           \
    X(Reserved<24>, reserved_d, 424)       \
    X(uint64_t, degraded, 448)             \
    X(uint64_t, events_lost, 456)          \
    X(uint64_t, stacks_truncated, 464)     \
    X(uint64_t, stacks_cut_by_space, 472)  \
    X(uint64_t, flamegraph_requests, 480)  \
    X(uint64_t, events_nested, 488)        \
    X(uint64_t, captures_verified, 496)    \
    X(uint64_t, capture_mismatches, 504)   \
    X(uint64_t, lanes_offset, 512)         \
    X(uint64_t, lanes_capacity, 520)       \
    X(uint64_t, windows_offset, 528)       \
    X(uint64_t, chunks_offset, 536)        \
    X(uint64_t, chunks_capacity, 544)      \
    X(uint32_t, index_bits, 552)           \
    X(uint32_t, index_used, 556)           \
    X(uint64_t, index_migrated, 560)       \
    X(uint64_t, index_reserved, 568)       \
    X(uint64_t, heap_control, 576)         \
    X(uint64_t, heap_switched_at, 584)     \
    X(uint64_t, heap_time, 592)            \
    X(Reserved<40>, reserved_e, 600)       \
    X(uint64_t, lanes_used, 640)           \
    X(uint64_t, lanes_free, 648)           \
    X(uint64_t, chunks_backed, 656)        \
    X(uint64_t, heap_events_lost, 664)     \
    X(uint64_t, heap_waits, 672)           \
    X(uint64_t, heap_nested, 680)          \
    X(uint64_t, heap_without_lane, 688)    \
    X(uint32_t, awaited_process_id, 696)   \
    X(Reserved<4>, reserved_f, 700)        \
    X(uint64_t, heap_beat_ns, 704)         \
    X(uint64_t, python_stacks_cut, 712)    \
    X(uint64_t, pid_namespace, 720)        \
    X(uint64_t, labels_set, 728)           \
    X(Reserved<32>, reserved_g, 736)       \
    X(uint64_t, request, 768)              \
    X(uint64_t, request_taken, 776)        \
    X(uint64_t, request_answered, 784)     \
    X(uint64_t, request_passes, 792)       \
    X(uint32_t, answer, 800)               \
    X(uint32_t, answer_source, 804)        \
    X(Words<24>, answer_values, 808)       \
    X(uint64_t, request_argument, 1000)    \
    X(Reserved<16>, reserved_i, 1008)

#define OFFHEAP_FIELD(type, name, offset) type name;
struct Event {
    OFFHEAP_EVENT_FIELDS(OFFHEAP_FIELD)
};
struct StackNode {
    OFFHEAP_STACK_NODE_FIELDS(OFFHEAP_FIELD)
};
struct Site {
    OFFHEAP_SITE_FIELDS(OFFHEAP_FIELD)
};
struct HeapEvent {
    OFFHEAP_HEAP_EVENT_FIELDS(OFFHEAP_FIELD)
};
struct Chunk {
    OFFHEAP_CHUNK_FIELDS(OFFHEAP_FIELD)
};
struct Lane {
    OFFHEAP_LANE_FIELDS(OFFHEAP_FIELD)
};
struct Temporaries {
    OFFHEAP_TEMPORARIES_FIELDS(OFFHEAP_FIELD)
};
struct Header {
    OFFHEAP_HEADER_FIELDS(OFFHEAP_FIELD)
};
#undef OFFHEAP_FIELD

#define OFFHEAP_STRUCTURES(X)               \
    X(Header, OFFHEAP_HEADER_FIELDS)        \
    X(Event, OFFHEAP_EVENT_FIELDS)          \
    X(StackNode, OFFHEAP_STACK_NODE_FIELDS) \
    X(Site, OFFHEAP_SITE_FIELDS)            \
    X(HeapEvent, OFFHEAP_HEAP_EVENT_FIELDS) \
    X(Chunk, OFFHEAP_CHUNK_FIELDS)          \
    X(Lane, OFFHEAP_LANE_FIELDS)            \
    X(Temporaries, OFFHEAP_TEMPORARIES_FIELDS)

#define OFFHEAP_CHECK(type, name, offset)            \
    static_assert(offsetof(Checked, name) == offset, \
                  #name " moved: mend its offset in the X-list, on purpose");
#define OFFHEAP_CHECK_STRUCTURE(structure, fields) \
    namespace check_##structure {                  \
        using Checked = structure;                 \
        fields(OFFHEAP_CHECK)                      \
    }
OFFHEAP_STRUCTURES(OFFHEAP_CHECK_STRUCTURE)
#undef OFFHEAP_CHECK_STRUCTURE
#undef OFFHEAP_CHECK
static_assert(sizeof(Event) == 128 && sizeof(StackNode) == 16 && sizeof(Site) == 16 &&
              sizeof(Header) == 1024);
static_assert(sizeof(HeapEvent) == 32 && sizeof(Chunk) == 32 && sizeof(Lane) == 64 &&
              sizeof(Temporaries) == 16);

// ---- the layout hash: FNV-1a over every name, type and offset above ----

constexpr uint64_t hash_text(uint64_t hash, const char* text) {
    for (; *text != 0; ++text) hash = (hash ^ static_cast<uint8_t>(*text)) * 0x100000001b3ULL;
    return (hash ^ 0x1f) * 0x100000001b3ULL;  // a separator, so that "ab","c" and "a","bc" differ
}

constexpr uint64_t layout_hash() {
    uint64_t hash = 0xcbf29ce484222325ULL;
#define OFFHEAP_HASH_FIELD(type, name, offset) \
    hash = hash_text(hash_text(hash_text(hash, #type), #name), #offset);
#define OFFHEAP_HASH_STRUCTURE(structure, fields) \
    hash = hash_text(hash, #structure);           \
    fields(OFFHEAP_HASH_FIELD)
#define OFFHEAP_HASH_ENTRY(id, text) hash = hash_text(hash_text(hash, #id), text);
    OFFHEAP_STRUCTURES(OFFHEAP_HASH_STRUCTURE)
    OFFHEAP_OPERATIONS(OFFHEAP_HASH_ENTRY)
    OFFHEAP_PHASES(OFFHEAP_HASH_ENTRY)
    OFFHEAP_PROCESS_STATES(OFFHEAP_HASH_ENTRY)
    OFFHEAP_BEGINNINGS(OFFHEAP_HASH_ENTRY)
    OFFHEAP_CLOCKS(OFFHEAP_HASH_ENTRY)
    OFFHEAP_SITE_STATES(OFFHEAP_HASH_ENTRY)
    OFFHEAP_DEGRADATIONS(OFFHEAP_HASH_ENTRY)
    OFFHEAP_HEAP_MODES(OFFHEAP_HASH_ENTRY)
    OFFHEAP_HEAP_EVENT_KINDS(OFFHEAP_HASH_ENTRY)
    OFFHEAP_REQUEST_KINDS(OFFHEAP_HASH_ENTRY)
    OFFHEAP_ANSWERS(OFFHEAP_HASH_ENTRY)
    OFFHEAP_MEMORY_RETURNS(OFFHEAP_HASH_ENTRY)
    OFFHEAP_STATISTICS_SOURCES(OFFHEAP_HASH_ENTRY)
    OFFHEAP_SIZE_ROUNDINGS(OFFHEAP_HASH_ENTRY)
    OFFHEAP_JEMALLOC_STATISTICS(OFFHEAP_HASH_ENTRY)
    OFFHEAP_TCMALLOC_STATISTICS(OFFHEAP_HASH_ENTRY)
#undef OFFHEAP_HASH_ENTRY
#undef OFFHEAP_HASH_STRUCTURE
#undef OFFHEAP_HASH_FIELD
    return hash;
}

}  // namespace offheap::wire
