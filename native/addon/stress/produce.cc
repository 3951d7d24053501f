// A target without a shim: threads that write records which prove themselves, as fast as the ring takes them.
//
//   produce FILE RING_EVENTS THREADS RECORDS_PER_THREAD
//
// Every field of a record follows from its position, or from its thread and its place among the thread's
// records
// (`refers_to`), so that a reader can tell a torn, doubled or missing one. Nothing is ever dropped: a full
// ring is waited for. Prints "ready" when the channel can be opened.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "native/wire/ring.h"
#include "native/wire/stack_tree.h"

namespace {

using namespace offheap::wire;

constexpr uint64_t kNodes = 1 << 17;
constexpr uint32_t kStackVariants = 4096;
constexpr uint32_t kStackDepth = 5;

uint64_t mix(uint64_t position, uint64_t salt) {
    uint64_t value = (position + salt) * 0x9e3779b97f4a7c15ULL;
    return (value ^ value >> 29) & 0x7fff'ffff'ffffULL;
}

uint64_t start_ticks() {
    char text[1024] = {};
    const int file = open("/proc/self/stat", O_RDONLY);
    if (file < 0 || read(file, text, sizeof text - 1) <= 0) abort();
    close(file);
    const char* at = strrchr(text, ')') + 1;
    for (int field = 3; field < 22; ++field) at = strchr(at + 1, ' ');
    return strtoull(at, nullptr, 10);
}

Header* create(const char* path, uint64_t ring_events) {
    const uint64_t ring = kPageBytes, nodes = ring + ring_events * sizeof(Event);
    const uint64_t index = nodes + kNodes * sizeof(StackNode), end = index + 2 * kNodes * sizeof(uint32_t);
    const int file = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (file < 0 || ftruncate(file, static_cast<off_t>(end)) != 0) abort();
    void* base = mmap(nullptr, end, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (base == MAP_FAILED) abort();
    auto* header = static_cast<Header*>(base);
    header->layout_hash = layout_hash();
    memcpy(&header->version0, kVersion, sizeof kVersion - 1);
    header->channel_id = static_cast<uint64_t>(getpid());
    header->process_id = static_cast<uint32_t>(getpid());
    header->process_start_ticks = start_ticks();
    header->state = static_cast<uint32_t>(ProcessState::kRunning);
    header->file_bytes = end;
    header->ring_offset = ring, header->ring_capacity = ring_events;
    header->ring_reserved = ring_events * sizeof(Event);
    header->nodes_offset = nodes, header->nodes_capacity = kNodes;
    header->nodes_reserved = kNodes * sizeof(StackNode);
    header->index_offset = index, header->index_reserved = header->index_capacity = 2 * kNodes;
    while (2ULL << header->index_bits < header->index_capacity) ++header->index_bits;
    header->text_offset = header->sites_offset = index;
    header->nodes_used = 1;
    __atomic_store_n(&header->magic, kMagic, __ATOMIC_RELEASE);
    return header;
}

uint32_t stack_of(StackTree& tree, uint32_t thread, uint64_t number) {
    const auto backed = [](uint64_t, uint64_t) { return true; };
    const uint32_t variant = static_cast<uint32_t>(number * 7919 % kStackVariants);
    uint32_t node = tree.intern(0, kKeyGeneration << kKeyKindShift | thread, backed);
    for (uint32_t depth = 0; depth < kStackDepth; ++depth) {
        node = tree.intern(node, 0x1000000ULL * (depth + 1) + (variant >> (2 * (kStackDepth - 1 - depth))),
                           backed);
    }
    return node;
}

void produce(Header* header, uint32_t thread, uint64_t records) {
    StackTree tree(header);
    for (uint64_t number = 0; number < records; ++number) {
        const uint32_t stack = stack_of(tree, thread, number);
        Slot slot = reserve(header);
        while (slot.outcome != Reserve::kReserved) {
            sched_yield();
            slot = reserve(header);
        }
        Event* event = event_at(header, slot.position);
        event->arg0 = mix(slot.position, 0), event->arg1 = mix(slot.position, 1);
        event->arg2 = mix(slot.position, 2), event->arg3 = mix(slot.position, 3);
        event->refers_to = number;
        event->thread_id = thread, event->stack = stack, event->generation = thread;
        event->text = 0, event->flags = 0, event->enclosing = 0, event->phase = 0;
        event->operation = static_cast<uint8_t>(Operation::kMunmap);
        // Now and then the thread loses the processor in the worst place.
        if (mix(slot.position, 9) % 4096 == 0) sched_yield();
        event->arg4 = mix(slot.position, 4), event->arg5 = mix(slot.position, 5);
        event->result = mix(slot.position, 6), event->extra = mix(slot.position, 7);
        commit(event, slot.position);
    }
}

}  // namespace

int main(int, char** arguments) {
    // A test that fails leaves nobody to read: the producers must not spin on for ever.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    Header* header = create(arguments[1], strtoull(arguments[2], nullptr, 10));
    const auto count = static_cast<uint32_t>(strtoul(arguments[3], nullptr, 10));
    const uint64_t records = strtoull(arguments[4], nullptr, 10);
    puts("ready");
    fflush(stdout);
    std::vector<std::thread> threads;
    for (uint32_t thread = 0; thread < count; ++thread)
        threads.emplace_back(produce, header, thread, records);
    for (std::thread& thread : threads) thread.join();
}
