// A target without a shim: threads that tell of so many live blocks, then of blocks that are freed and
// allocated again at random.
//
//   produce_heap FILE CHUNKS THREADS LIVE_BLOCKS PAIRS
//
// LIVE_BLOCKS and PAIRS of all threads together. Prints "ready" when the channel can be opened; full, it
// waits for whoever reads.
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <x86intrin.h>

#include <thread>
#include <vector>

#include "native/addon/stress/heap_writer.h"

namespace {

using namespace offheap::wire;
using offheap::stress::HeapLaneWriter;

constexpr uint32_t kStacks = 4096;

void produce(Header* header, uint32_t thread, uint64_t live_blocks, uint64_t pairs) {
    HeapLaneWriter lane(header, thread, 1000 + thread);
    uint64_t random = 88172645463325252ULL + thread;
    const auto next = [&] {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        return random;
    };
    const auto address_of = [&](uint64_t block) {
        return 0x7f00'0000'0000ULL + (uint64_t{thread} << 36) + block * 96 + 16;
    };
    const auto allocate = [&](uint64_t block) {
        const uint64_t bytes = 16 + next() % 80;
        const auto stack = static_cast<uint32_t>(1 + next() % kStacks);
        lane.publish(HeapEventKind::kAllocation, address_of(block), __rdtsc(), bytes, stack);
    };
    lane.publish(HeapEventKind::kThread, 0, __rdtsc(), 0, 0, 1000 + thread);
    for (uint64_t block = 0; block < live_blocks; ++block) allocate(block);
    for (uint64_t pair = 0; pair < pairs; ++pair) {
        const uint64_t block = next() % live_blocks;
        lane.publish(HeapEventKind::kRelease, address_of(block), __rdtsc());
        allocate(block);
    }
}

}  // namespace

int main(int, char** arguments) {
    // A reader that fails leaves nobody to read: the producers must not spin on for ever.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const auto number = [&](int index) { return strtoull(arguments[index], nullptr, 10); };
    Header* header =
        offheap::stress::create_heap_channel(arguments[1], {number(3), number(2), Clock::kTimeStampCounter});
    if (header == nullptr) return 1;
    header->start_clock = __rdtsc();
    puts("ready");
    fflush(stdout);
    const auto count = static_cast<uint32_t>(number(3));
    std::vector<std::thread> threads;
    for (uint32_t thread = 0; thread < count; ++thread)
        threads.emplace_back(produce, header, thread, number(4) / count, number(5) / count);
    for (std::thread& thread : threads) thread.join();
    __atomic_store_n(&header->state, static_cast<uint32_t>(ProcessState::kExited), __ATOMIC_RELEASE);
}
