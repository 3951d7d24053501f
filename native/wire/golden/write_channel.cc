// Writes a small channel with known contents: `write_channel FILE`. Every field of every structure holds a
// value of its own, so that a reader that mixes two up is caught. channel.bin is its output, byte for byte.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "native/wire/heap.h"
#include "native/wire/request.h"
#include "native/wire/ring.h"
#include "native/wire/stack_tree.h"

namespace {

using namespace offheap::wire;

constexpr uint64_t kRingCapacity = 8;
constexpr uint64_t kNodesCapacity = 16;
constexpr uint64_t kIndexCapacity = 32;
constexpr uint64_t kTextCapacity = 128;
constexpr uint64_t kSitesCapacity = 2;
constexpr uint64_t kBacklogCapacity = 4;
constexpr uint64_t kLanesCapacity = 2;
constexpr uint64_t kChunksCapacity = 2;

struct Sections {
    static constexpr uint64_t kRing = kPageBytes;
    static constexpr uint64_t kNodes = kRing + kRingCapacity * sizeof(Event);
    static constexpr uint64_t kIndex = kNodes + kNodesCapacity * sizeof(StackNode);
    static constexpr uint64_t kLanes = kIndex + kIndexCapacity * sizeof(uint32_t);
    static constexpr uint64_t kWindows = kLanes + kLanesCapacity * sizeof(Lane);
    static constexpr uint64_t kChunks = kWindows + kLanesCapacity * kWindowBytes;
    static constexpr uint64_t kText = kChunks + kChunksCapacity * kChunkBytes;
    static constexpr uint64_t kSites = kText + kTextCapacity;
    static constexpr uint64_t kBacklog = kSites + kSitesCapacity * sizeof(Site);
    static constexpr uint64_t kEnd = kBacklog + kBacklogCapacity * sizeof(Event);
};

alignas(kPageBytes) uint8_t g_file[Sections::kEnd];

uint32_t add_text(Header* header, const char* text, size_t bytes) {
    const uint64_t offset = header->text_used;
    uint8_t* entry = g_file + Sections::kText + offset;
    entry[0] = static_cast<uint8_t>(bytes);
    entry[1] = static_cast<uint8_t>(bytes >> 8);
    memcpy(entry + 2, text, bytes);
    header->text_used += 2 + bytes;
    return static_cast<uint32_t>(offset);
}

void append(Header* header, Event event) {
    const Slot slot = reserve(header);
    Event* target = event_at(header, slot.position);
    *target = event;
    commit(target, slot.position);
}

void describe(Header* header) {
    header->magic = kMagic;
    header->layout_hash = layout_hash();
    memcpy(&header->version0, kVersion, sizeof kVersion - 1);
    header->channel_id = 0x0123456789abcdef;
    header->parent_channel_id = 0xfedcba9876543210;
    header->parent_position = 41;
    header->process_id = 4242;
    header->parent_process_id = 4241;
    header->process_start_ticks = 987654;
    header->start_unix_ns = 1'795'248'932'143'749'981;
    header->start_monotonic_ns = 5'000'000'000;
    header->start_clock = 5'000'000'000;
    header->clock = static_cast<uint32_t>(Clock::kMonotonicNs);
    header->state = static_cast<uint32_t>(ProcessState::kRunning);
    header->file_bytes = Sections::kEnd;
    header->ring_offset = Sections::kRing;
    header->ring_capacity = kRingCapacity;
    header->nodes_offset = Sections::kNodes;
    header->nodes_capacity = kNodesCapacity;
    header->index_offset = Sections::kIndex;
    header->index_capacity = kIndexCapacity;
    header->text_offset = Sections::kText;
    header->text_capacity = kTextCapacity;
    header->sites_offset = Sections::kSites;
    header->sites_capacity = kSitesCapacity;
    header->backlog_offset = Sections::kBacklog;
    header->backlog_capacity = kBacklogCapacity;
    header->backlog_used = 1;
    header->backlog_position = 6;
    header->backlog_from = 2;
    header->cancel_from = 1;
    header->events_cancelled = 16;
    header->beginning = static_cast<uint32_t>(Beginning::kFork);
    header->exit_status = 3;
    header->seed_events = 1;
    header->ring_head = header->ring_tail =
        6;  // slots wrap round: positions 6 … 10 lie in slots 6, 7, 0, 1, 2
    header->ring_reserved = kRingCapacity * sizeof(Event);
    header->collector_beat_ns = 77;
    header->nodes_used = 1;
    header->nodes_reserved = kNodesCapacity * sizeof(StackNode);
    header->text_used = 8;
    header->generation = 3;
    header->degraded = 1u << static_cast<unsigned>(Degradation::kSitesUnpatchable) |
                       1u << static_cast<unsigned>(Degradation::kScanLimited);
    header->events_lost = 11;
    header->stacks_truncated = 12;
    header->stacks_cut_by_space = 13;
    header->flamegraph_requests = 14;
    header->events_nested = 15;
    header->captures_verified = 17;
    header->capture_mismatches = 18;
    header->index_bits = 4;
    header->index_reserved = kIndexCapacity;
}

void describe_heap(Header* header) {
    header->lanes_offset = Sections::kLanes;
    header->lanes_capacity = kLanesCapacity;
    header->windows_offset = Sections::kWindows;
    header->chunks_offset = Sections::kChunks;
    header->chunks_capacity = kChunksCapacity;
    header->chunks_backed = 1;
    header->heap_control = pack({HeapMode::kExact, 0x030201, 0x87654321, true});
    header->heap_switched_at = 5'000'000'002;
    header->heap_time = 5'000'000'003;
    header->awaited_process_id = 4321;
    header->heap_beat_ns = 78;
    header->python_stacks_cut = 79;
    header->pid_namespace = 80;
    header->labels_set = 81;
    header->lanes_used = 1;
    header->heap_events_lost = 19;
    header->heap_waits = 20;
    header->heap_nested = 21;
    header->heap_without_lane = 22;
    header->request = pack_request(RequestKind::kTrim, 24);
    header->request_taken = pack_request(RequestKind::kTrim, 23);
    header->request_answered = pack_request(RequestKind::kTrim, 22);
    header->request_passes = 25;
    header->request_argument = 61;
    header->answer = static_cast<uint32_t>(Answer::kDone);
    header->answer_source = static_cast<uint32_t>(MemoryReturn::kMallocTrim);
    for (uint32_t i = 0; i < kAnswerValues; ++i) header->answer_values.at[i] = 26 + i;
}

// One lane: its thread, a block that was published and one that rests, one that came and went.
void fill_heap(Header* header, uint32_t stack) {
    for (uint32_t chunk = 1; chunk < kChunksCapacity; ++chunk) give_chunk_back(header, chunk);
    Lane* lane = lane_at(header, 0);
    lane->first_chunk = 1;
    lane->thread_id = 4243;
    lane->in_use = 1;
    HeapEvent* events = events_of(chunk_at(header, 0));
    events[0] = {heap_word(HeapEventKind::kThread, 0), 5'000'000'003, 0, 0, 4243};
    events[1] = {heap_word(HeapEventKind::kAllocation, 0x55aa00112230), 5'000'000'004, 96, stack, 524288};
    events[2] = {heap_word(HeapEventKind::kRelease, 0x55aa00445560), 5'000'000'005, 0, 0, 0};
    lane->head = 3;
    window_of(header, 0)[7] = {heap_word(HeapEventKind::kAllocation, 0x55aa00778890), 5'000'000'006, 32,
                               stack, 0};
    temporaries_of(header, 0)[9] = {stack, 23, 2400};
}

uint32_t fill(Header* header) {
    const char command[] = "sleep\0001000";
    header->command_text = add_text(header, command, sizeof command);
    header->command_bytes = sizeof command;
    const uint32_t library = add_text(header, "/usr/lib/libucs.so.0", 20);
    const uint32_t unusual = add_text(header, "/tmp/Stück \xe2\x82\xac", 15);

    StackTree tree(header);
    const auto backed = [](uint64_t, uint64_t) { return true; };
    const uint32_t root = tree.intern(0, kKeyGeneration << kKeyKindShift | 3, backed);
    const uint32_t outer = tree.intern(root, 0x7f1122334455, backed);
    const uint32_t leaf = tree.intern(outer, kKeyExactAddress << kKeyKindShift | 0x7ffe00112233, backed);

    auto* sites = reinterpret_cast<Site*>(g_file + Sections::kSites);
    sites[0] = {0x7f00deadbeef, library, 5, static_cast<uint8_t>(Operation::kMmap),
                static_cast<uint8_t>(SiteState::kPatched)};
    sites[1] = {0x7f00deadbe00, 0, 2, static_cast<uint8_t>(Operation::kBrk),
                static_cast<uint8_t>(SiteState::kUnpatchable)};
    header->sites_used = 2;

    Event seed = {};
    seed.time = 5'000'000'001;
    seed.arg0 = 0x7f0000000000, seed.arg1 = 0x21000, seed.arg2 = 5, seed.arg3 = 2, seed.arg4 = 0x801;
    seed.arg5 = 0x3000;
    seed.extra = 123456789;
    seed.text = library;
    seed.operation = static_cast<uint8_t>(Operation::kSeed);
    append(header, seed);

    Event mapping = {};
    mapping.time = 5'000'000'002;
    mapping.arg1 = 151552, mapping.arg2 = 3, mapping.arg3 = 0x22;
    mapping.arg4 = 0xffffffff;  // the descriptor -1 as a C int
    mapping.arg5 = 0xffff'ffff'ffff'ffff;
    mapping.result = 0x7f5544332000;
    mapping.refers_to = 5;
    mapping.extra = 6;
    mapping.thread_id = 4243;
    mapping.stack = leaf;
    mapping.text = unusual;
    mapping.generation = 3;
    mapping.flags = kFlagStackTruncated | kFlagByProfiler;
    mapping.operation = static_cast<uint8_t>(Operation::kMmap);
    mapping.enclosing = static_cast<uint8_t>(Operation::kMunmap);
    append(header, mapping);

    Event failed = {};
    failed.time = 4'000'000'000;  // before the start: another core's counter
    failed.arg0 = 0x7f5544332000, failed.arg1 = 151552;
    failed.result = static_cast<uint64_t>(-22);
    failed.refers_to = 7;
    failed.operation = static_cast<uint8_t>(Operation::kMunmap);
    failed.phase = static_cast<uint8_t>(Phase::kFailed);
    append(header, failed);

    Event kept = mapping;  // an older one, in the backlog
    kept.sequence = 3;
    kept.stack = outer;
    *reinterpret_cast<Event*>(g_file + Sections::kBacklog) = kept;

    Event unknown = {};
    unknown.operation = 200;
    append(header, unknown);

    Event last = {};
    last.time = 6'000'000'000;
    last.result = static_cast<uint64_t>(-4096);  // no errno: the smallest is -4095
    last.operation = static_cast<uint8_t>(Operation::kFork);
    append(header, last);
    return leaf;
}

}  // namespace

int main(int, char** arguments) {
    auto* header = reinterpret_cast<Header*>(g_file);
    describe(header);
    describe_heap(header);
    fill_heap(header, fill(header));
    const int file = open(arguments[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || write(file, g_file, sizeof g_file) != static_cast<ssize_t>(sizeof g_file)) {
        perror(arguments[1]);
        return 1;
    }
    return close(file);
}
