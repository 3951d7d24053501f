// Several threads record and tidy up at once, with nobody collecting.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <thread>
#include <vector>

#include "preload/record/backlog.h"
#include "preload/record/emit.h"
#include "test/native/channel_reader.h"
#include "test/native/page_map.h"
#include "test/native/private_folder.h"

namespace offheap::record {
namespace {

constexpr uint32_t kThreads = 4;
constexpr uint64_t kPlaces = 8;

// Maps and unmaps at a few places of its own; a place is mapped or not, as `extra` counts.
void map_and_unmap(Channel& channel, uint32_t thread, std::vector<bool>* mapped) {
    mapped->resize(kPlaces);
    std::mt19937 random(thread);
    for (uint64_t call = 1; call <= 8'000; ++call) {
        const uint64_t place = random() % kPlaces;
        const uint64_t address = (0x1000 * (thread + 1) + place * 16) * wire::kPageBytes;
        wire::Event event = {};
        event.thread_id = thread;
        event.extra = call;
        event.arg1 = 4 * wire::kPageBytes;
        if ((*mapped)[place]) {
            event.operation = static_cast<uint8_t>(wire::Operation::kMunmap);
            event.phase = static_cast<uint8_t>(wire::Phase::kBegin);
            event.arg0 = address;
        } else {
            event.operation = static_cast<uint8_t>(wire::Operation::kMmap);
            event.result = address;
        }
        // A lost event is a call that was never made, so that the end can be told.
        if (emit(channel, event) != kLost) (*mapped)[place] = !(*mapped)[place];
    }
}

TEST(BacklogThreads, leave_what_is_live) {
    const test::PrivateFolder folder;
    Channel channel;
    ASSERT_TRUE(channel.create(folder.configuration(64), Parent()));
    channel.header()->backlog_capacity = 256;
    std::vector<std::vector<bool>> mapped(kThreads);
    std::vector<std::thread> threads;
    for (uint32_t thread = 0; thread < kThreads; ++thread)
        threads.emplace_back(map_and_unmap, std::ref(channel), thread, &mapped[thread]);
    for (std::thread& thread : threads) thread.join();

    test::PageMap replayed(0);
    std::map<uint32_t, uint64_t> last_call;
    uint64_t last_sequence = 0;
    for (const wire::Event& event : test::recorded_events(channel.header())) {
        ASSERT_GT(event.sequence, last_sequence);
        last_sequence = event.sequence;
        ASSERT_GT(event.extra, last_call[event.thread_id]) << "a thread's own order";
        last_call[event.thread_id] = event.extra;
        replayed.apply(event);
    }
    for (uint32_t thread = 0; thread < kThreads; ++thread) {
        for (uint64_t place = 0; place < kPlaces; ++place) {
            EXPECT_EQ(replayed.is_free(0x1000 * (thread + 1) + place * 16, 4), !mapped[thread][place])
                << "thread " << thread << ", place " << place;
        }
    }
    EXPECT_EQ(channel.header()->consumer_lock, 0u);
    EXPECT_GT(channel.header()->events_cancelled, 0u);
}

}  // namespace
}  // namespace offheap::record
