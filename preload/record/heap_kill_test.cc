// A target may be killed at any instruction of its heap recording: what a reader then finds must be what was
// done, but for the call under way. And a signal handler may leave by siglongjmp at any instruction: what
// follows must be as right as if the call had been made or not made.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <random>
#include <set>

#include "preload/record/heap_lane.h"
#include "test/native/lane_ledger.h"
#include "test/native/private_folder.h"

namespace offheap::record {
namespace {

using test::Block;
using test::HeapAccount;
using wire::HeapEventKind;

constexpr uint32_t kLanes = 2;
constexpr uint64_t kPlaces = 200;

struct Call {
    enum class Kind : uint8_t { allocate, release, reallocate, reallocate_in_vain, publish_resting } kind;
    uint32_t lane;
    uint64_t address;
    Block block;
};

std::vector<Call> random_calls(uint32_t count) {
    std::mt19937 random(7);
    std::set<uint64_t> live;
    std::vector<Call> calls;
    while (calls.size() < count) {
        // A few crowded sets of the window, and more stacks than temporaries have room for.
        Call call = {Call::Kind::release,
                     static_cast<uint32_t>(random() % kLanes),
                     0x7f0000001000 + random() % kPlaces * 16,
                     {random() % 4096, static_cast<uint32_t>(random() % 1000)}};
        if (live.insert(call.address).second) {
            call.kind = Call::Kind::allocate;
        } else if (random() % 8 == 0) {
            call.kind = random() % 2 == 0 ? Call::Kind::reallocate : Call::Kind::reallocate_in_vain;
        } else if (random() % 100 == 0) {
            call.kind = Call::Kind::publish_resting;
        } else {
            live.erase(call.address);
        }
        calls.push_back(call);
    }
    return calls;
}

void apply(const Call& call, HeapAccount* account) {
    if (call.kind == Call::Kind::release || call.kind == Call::Kind::reallocate)
        account->release(call.address);
    if (call.kind == Call::Kind::allocate || call.kind == Call::Kind::reallocate)
        account->allocate(call.address, call.block);
}

void make(const Call& call, Channel& channel, HeapLane& lane) {
    switch (call.kind) {
        case Call::Kind::allocate:
            return note_allocation(channel, lane, call.address, call.block.bytes, call.block.stack);
        case Call::Kind::release:
            return note_release(channel, lane, call.address);
        case Call::Kind::reallocate: {
            const Reallocation reallocation = begin_reallocation(channel, lane, call.address);
            finish_reallocation(channel, lane, reallocation);
            return note_allocation(channel, lane, call.address, call.block.bytes, call.block.stack);
        }
        case Call::Kind::reallocate_in_vain:
            return undo_reallocation(channel, lane, call.address,
                                     begin_reallocation(channel, lane, call.address));
        case Call::Kind::publish_resting:
            return publish_resting(channel, lane);
    }
}

// What the child tells its tracer.
struct Progress {
    uint32_t call;
    bool is_inside;
    bool abandoned[4096];
};
Progress* progress;

class Child {
  public:
    explicit Child(const std::string& folder) {
        if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(3);
        if (!channel_.create(test::PrivateFolder::configuration_for(folder, 64), Parent())) _exit(4);
        channel_.header()->heap_control = wire::pack({wire::HeapMode::kExact, 1, 1 << 19});
        for (HeapLane& lane : lanes_) {
            if (!open_lane(channel_, lane, 1)) _exit(5);
        }
    }

    void make_calls(const std::vector<Call>& calls, uint32_t from, uint32_t to) {
        for (uint32_t i = from; i < to; ++i) {
            __atomic_store_n(&progress->call, i, __ATOMIC_SEQ_CST);
            make(calls[i], channel_, lanes_[calls[i].lane]);
        }
        __atomic_store_n(&progress->call, to, __ATOMIC_SEQ_CST);
    }

    // Events of no consequence, until a few more need another chunk.
    void fill_chunks() {
        for (HeapLane& lane : lanes_) {
            while (lane.next != lane.end - 20) publish(channel_, lane, HeapEventKind::kThread, 0, 0, 0, 1);
        }
    }

    // Each call from the breakpoint on may be left by a signal's handler; its address is not used again then.
    void make_calls_that_may_be_left(const std::vector<Call>& calls) {
        std::set<uint64_t> unknown;
        for (uint32_t i = 0; i < calls.size(); ++i) {
            if (unknown.contains(calls[i].address)) continue;
            __atomic_store_n(&progress->call, i, __ATOMIC_SEQ_CST);
            if (make_or_leave(calls[i])) continue;
            progress->abandoned[i] = true;
            unknown.insert(calls[i].address);
            mend_lane(lanes_[calls[i].lane]);
        }
    }

    static void leave(int) {
        if (!__atomic_load_n(&progress->is_inside, __ATOMIC_SEQ_CST)) return;
        __atomic_store_n(&progress->is_inside, false, __ATOMIC_SEQ_CST);
        siglongjmp(left_, 1);
    }

  private:
    __attribute__((noinline)) bool make_or_leave(const Call& call) {
        if (sigsetjmp(left_, 1) != 0) return false;
        __atomic_store_n(&progress->is_inside, true, __ATOMIC_SEQ_CST);
        asm volatile("int3");
        make(call, channel_, lanes_[call.lane]);
        __atomic_store_n(&progress->is_inside, false, __ATOMIC_SEQ_CST);
        return true;
    }

    Channel channel_;
    HeapLane lanes_[kLanes] = {};
    static sigjmp_buf left_;
};
sigjmp_buf Child::left_;

class HeapKill : public testing::Test {
  protected:
    void SetUp() override {
        void* page =
            mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ASSERT_NE(page, MAP_FAILED);
        progress = static_cast<Progress*>(page);
    }
    void TearDown() override {
        if (header_ != nullptr) munmap(header_, bytes_);
        munmap(progress, sizeof(Progress));
        if (child_ > 0 && kill(child_, SIGKILL) == 0) waitpid(child_, nullptr, 0);
    }

    // Runs `work` in a traced child, up to its first stop. False: skipped.
    template <typename Work>
    bool start(Work work) {
        child_ = fork();
        if (child_ == 0) {
            work();
            _exit(0);
        }
        wait();
        return !(WIFEXITED(status_) && WEXITSTATUS(status_) == 3);
    }
    void wait() {
        ASSERT_EQ(waitpid(child_, &status_, 0), child_);
        if (WIFEXITED(status_) || WIFSIGNALED(status_)) child_ = -1;
    }
    bool has_stopped() const { return WIFSTOPPED(status_); }
    void step() {
        ASSERT_EQ(ptrace(PTRACE_SINGLESTEP, child_, nullptr, nullptr), 0);
        wait();
    }
    void go_on(int signal) {
        ASSERT_EQ(ptrace(PTRACE_CONT, child_, nullptr, signal), 0);
        wait();
    }

    void map_channel() {
        for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
            const int fd = open(entry.path().c_str(), O_RDONLY);
            bytes_ = std::filesystem::file_size(entry.path());
            void* address = mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, fd, 0);
            close(fd);
            ASSERT_NE(address, MAP_FAILED);
            header_ = static_cast<wire::Header*>(address);
        }
        ASSERT_NE(header_, nullptr);
    }
    HeapAccount account() {
        test::LaneLedger ledger(header_);
        ledger.read(false);
        uint64_t mistakes = 0;
        HeapAccount account = ledger.account(&mistakes);
        EXPECT_EQ(mistakes, 0u);
        return account;
    }

    test::PrivateFolder folder_;
    wire::Header* header_ = nullptr;
    uint64_t bytes_ = 0;
    pid_t child_ = -1;
    int status_ = 0;
};

// All that recording changes and a reader looks at.
struct Look {
    explicit Look(wire::Header* header) {
        call = __atomic_load_n(&progress->call, __ATOMIC_SEQ_CST);
        for (uint32_t lane = 0; lane < kLanes; ++lane) {
            memcpy(windows[lane], wire::window_of(header, lane), wire::kWindowBytes);
            heads[lane] = wire::lane_at(header, lane)->head;
            chunks[lane] = wire::lane_at(header, lane)->last_chunk;
        }
    }
    bool operator==(const Look& other) const { return memcmp(this, &other, sizeof *this) == 0; }

    uint64_t call;
    uint64_t heads[kLanes];
    uint32_t chunks[kLanes];
    uint8_t windows[kLanes][wire::kWindowBytes];
};

uint64_t sum(const std::map<uint32_t, uint64_t>& by_stack) {
    uint64_t sum = 0;
    for (const auto& [stack, value] : by_stack) sum += value;
    return sum;
}

TEST_F(HeapKill, leaves_what_was_done_at_any_instruction) {
    constexpr uint32_t kBefore = 1200, kWatched = 150;
    const std::vector<Call> calls = random_calls(kBefore + kWatched);
    const bool traced = start([this, &calls] {
        Child child(folder_.path());
        child.make_calls(calls, 0, kBefore);
        child.fill_chunks();
        raise(SIGSTOP);
        child.make_calls(calls, kBefore, kBefore + kWatched);
    });
    if (!traced) GTEST_SKIP() << "needs permission to trace a child (ptrace)";
    ASSERT_TRUE(has_stopped()) << status_;
    map_channel();

    HeapAccount before;
    for (uint32_t i = 0; i < kBefore; ++i) apply(calls[i], &before);
    HeapAccount after = before;
    auto seen = std::make_unique<Look>(header_);
    const Look first = *seen;
    ASSERT_TRUE(account() == before);
    apply(calls[kBefore], &after);
    uint64_t changes = 0;
    for (step(); has_stopped(); step()) {
        auto look = std::make_unique<Look>(header_);
        if (*look == *seen) continue;
        ++changes;
        const bool begins = look->call != seen->call;
        seen = std::move(look);
        const HeapAccount found = account();
        if (begins) {
            before = after;
            ASSERT_TRUE(found == before) << "before call " << seen->call;
            if (seen->call < calls.size()) apply(calls[seen->call], &after);
            continue;
        }
        auto between = before.live;
        between.erase(calls[seen->call].address);
        ASSERT_TRUE(found.live == before.live || found.live == after.live || found.live == between)
            << "in call " << seen->call << ", change " << changes;
        ASSERT_LE(sum(found.allocations), sum(after.allocations)) << "counted twice in call " << seen->call;
        const bool in_vain = calls[seen->call].kind == Call::Kind::reallocate_in_vain;  // not undone yet
        ASSERT_LE(found.releases, after.releases + in_vain) << "counted twice in call " << seen->call;
    }
    EXPECT_TRUE(WIFEXITED(status_) && WEXITSTATUS(status_) == 0) << status_;
    EXPECT_TRUE(account() == after);
    EXPECT_GT(changes, 500u) << "it must have been watched word by word";
    EXPECT_NE(seen->chunks[0], first.chunks[0]) << "a change of chunks must have been watched";
}

TEST_F(HeapKill, goes_on_after_calls_that_were_left) {
    const std::vector<Call> calls = random_calls(3000);
    const bool traced = start([this, &calls] {
        signal(SIGUSR1, Child::leave);
        Child child(folder_.path());
        child.make_calls_that_may_be_left(calls);
    });
    if (!traced) GTEST_SKIP() << "needs permission to trace a child (ptrace)";
    std::mt19937 random(3);
    while (has_stopped()) {
        ASSERT_EQ(WSTOPSIG(status_), SIGTRAP) << "at call " << progress->call;
        if (header_ == nullptr) map_channel();
        // Most calls are let through: what is left can't be used any more.
        if (random() % 16 != 0) {
            go_on(0);
            continue;
        }
        const uint32_t steps = random() % 120;
        for (uint32_t i = 0; i < steps && has_stopped(); ++i) step();
        if (has_stopped()) go_on(SIGUSR1);
    }
    ASSERT_TRUE(WIFEXITED(status_) && WEXITSTATUS(status_) == 0) << status_;

    HeapAccount least, most;
    std::set<uint64_t> unknown;
    uint64_t abandoned = 0;
    uint64_t lost = 0;
    for (uint32_t i = 0; i < calls.size(); ++i) {
        if (unknown.contains(calls[i].address)) continue;
        apply(calls[i], &most);
        if (progress->abandoned[i]) {
            ++abandoned;
            unknown.insert(calls[i].address);
            // With the call, the allocation may be lost that it took out of the window to count it.
            lost += calls[i].kind != Call::Kind::allocate;
            continue;
        }
        apply(calls[i], &least);
    }
    EXPECT_GT(abandoned, 40u);
    const HeapAccount found = account();
    for (const auto& [address, block] : most.live) {
        if (unknown.contains(address)) continue;
        ASSERT_TRUE(found.live.contains(address)) << address;
        EXPECT_TRUE(found.live.at(address) == block) << address;
    }
    for (const auto& [address, block] : found.live)
        EXPECT_TRUE(most.live.contains(address) || unknown.contains(address)) << address;
    EXPECT_LE(sum(found.allocations), sum(most.allocations));
    EXPECT_GE(sum(found.allocations) + lost, sum(least.allocations));
    EXPECT_LE(found.releases, most.releases);
    EXPECT_GE(found.releases, least.releases);
}

}  // namespace
}  // namespace offheap::record
