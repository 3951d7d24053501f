// Threads come and go, several at once: each has a state of its own, and states are used again.
#include "preload/hook/thread_state.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace offheap::hook {
namespace {

void start_once() {
    static const bool started = (start_thread_states(), true);
    (void)started;
}

TEST(ThreadStates, stay_with_their_thread) {
    start_once();
    OwnMapping fresh = {};
    ThreadState* state = thread_state(&fresh);
    ASSERT_NE(state, nullptr);
    fresh = {};
    EXPECT_EQ(thread_state(&fresh), state);
    EXPECT_EQ(fresh.bytes, 0u);
}

TEST(ThreadStates, are_one_for_each_of_many_threads) {
    start_once();
    constexpr int kThreads = 8;
    std::atomic<int> waiting = 0;
    std::atomic<bool> leave = false;
    std::mutex mutex;
    std::set<ThreadState*> states;
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
        threads.emplace_back([&] {
            OwnMapping fresh = {};
            ThreadState* state = thread_state(&fresh);
            state->thread_id = 1;  // its own to write
            {
                const std::lock_guard lock(mutex);
                states.insert(state);
            }
            ++waiting;
            while (!leave) std::this_thread::yield();
        });
    }
    while (waiting < kThreads) std::this_thread::yield();
    leave = true;
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(states.size(), size_t{kThreads});
}

TEST(ThreadStates, are_there_for_a_crowd_that_comes_at_once) {
    start_once();
    constexpr int kThreads = 400;  // some slabs full
    std::atomic<bool> go = false;
    std::atomic<int> waiting = 0;
    std::atomic<bool> leave = false;
    std::mutex mutex;
    std::set<ThreadState*> states;
    std::vector<OwnMapping> told;
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
        threads.emplace_back([&] {
            while (!go) std::this_thread::yield();
            OwnMapping fresh = {};
            ThreadState* state = thread_state(&fresh);
            {
                const std::lock_guard lock(mutex);
                states.insert(state);
                if (fresh.bytes != 0) told.push_back(fresh);
            }
            ++waiting;
            while (!leave) std::this_thread::yield();
        });
    }
    go = true;
    while (waiting < kThreads) std::this_thread::yield();
    leave = true;
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(states.size(), size_t{kThreads});
    EXPECT_EQ(states.count(nullptr), 0u);
    std::set<uint32_t> indices;
    for (const ThreadState* state : states) indices.insert(state->index);
    EXPECT_EQ(indices.size(), size_t{kThreads});
    // No slab is mapped that is not used: each that was told of holds the first state of its own.
    for (const OwnMapping& mapping : told) {
        EXPECT_EQ(states.count(reinterpret_cast<ThreadState*>(mapping.address)), 1u);
    }
}

TEST(ThreadStates, are_used_again) {
    start_once();
    std::mutex mutex;
    std::set<ThreadState*> states;
    uint64_t mapped_bytes = 0;
    for (int round = 0; round < 300; ++round) {
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&] {
                OwnMapping fresh = {};
                ThreadState* state = thread_state(&fresh);
                state->under_way = 3;  // a state must come clean to its next thread
                const std::lock_guard lock(mutex);
                states.insert(state);
                mapped_bytes += fresh.bytes;
            });
        }
        for (std::thread& thread : threads) thread.join();
    }
    EXPECT_LE(states.size(), 64u) << "1200 threads, four at a time";
    EXPECT_LE(mapped_bytes, 64 * sizeof(ThreadState));
    std::thread([] {
        OwnMapping fresh = {};
        const ThreadState* state = thread_state(&fresh);
        EXPECT_EQ(state->under_way, 0u);
    }).join();
}

}  // namespace
}  // namespace offheap::hook
