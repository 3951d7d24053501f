#include "preload/unwind/stack_memory.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>

#include <cerrno>

namespace offheap::unwind {
namespace {

constexpr uint64_t kPage = 4096;

class StackMemoryTest : public testing::Test {
  protected:
    static constexpr uint64_t kPages = 600;

    void SetUp() override {
        void* region =
            mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ASSERT_NE(region, MAP_FAILED);
        base_ = reinterpret_cast<uint64_t>(region);
    }
    void TearDown() override { munmap(reinterpret_cast<void*>(base_), kPages * kPage); }

    uint64_t page(uint64_t index) const { return base_ + index * kPage; }
    void forbid(uint64_t index) {
        ASSERT_EQ(mprotect(reinterpret_cast<void*>(page(index)), kPage, PROT_NONE), 0);
    }
    void remove(uint64_t index) { ASSERT_EQ(munmap(reinterpret_cast<void*>(page(index)), kPage), 0); }

    uint64_t base_ = 0;
    StackWindow home_{};
};

TEST_F(StackMemoryTest, probing_tells_readable_pages_and_changes_nothing) {
    forbid(1);
    remove(2);
    sigset_t before, after;
    sigprocmask(SIG_SETMASK, nullptr, &before);
    errno = 77;
    EXPECT_TRUE(is_readable(page(0)));
    EXPECT_TRUE(is_readable(page(0) + kPage - 1));
    EXPECT_FALSE(is_readable(page(1)));
    EXPECT_FALSE(is_readable(page(2)));
    EXPECT_FALSE(is_readable(0));
    EXPECT_FALSE(is_readable(8));
    EXPECT_FALSE(is_readable(uint64_t{1} << 47));
    EXPECT_FALSE(is_readable(~uint64_t{0}));
    EXPECT_EQ(errno, 77);
    sigprocmask(SIG_SETMASK, nullptr, &after);
    for (int signal = 1; signal < NSIG; ++signal)
        EXPECT_EQ(sigismember(&before, signal), sigismember(&after, signal));
}

TEST_F(StackMemoryTest, reaches_up_to_the_guard_page_and_no_byte_further) {
    forbid(4);
    StackMemory memory(home_);
    ASSERT_TRUE(memory.enter(page(1) + 100));
    EXPECT_TRUE(memory.reach(page(4) - 8));
    EXPECT_FALSE(memory.reach(page(4) - 7));
    EXPECT_FALSE(memory.reach(page(4)));
    EXPECT_FALSE(memory.reach(page(5)));
    EXPECT_FALSE(memory.reach(page(1) - 8)) << "below the window";
    EXPECT_FALSE(memory.reach(~uint64_t{0} - 3));
    EXPECT_EQ(memory.high(), page(4));
}

TEST_F(StackMemoryTest, cannot_enter_an_unmapped_stack) {
    remove(0);
    StackMemory memory(home_);
    EXPECT_FALSE(memory.enter(page(0)));
}

TEST_F(StackMemoryTest, keeps_the_first_window_and_joins_it_from_below) {
    StackMemory first(home_);
    ASSERT_TRUE(first.enter(page(5)));
    ASSERT_TRUE(first.reach(page(7)));
    first.leave(false);
    EXPECT_EQ(home_.low, page(5));
    EXPECT_EQ(home_.high, page(8));

    StackMemory deeper(home_);
    ASSERT_TRUE(deeper.enter(page(2)));
    forbid(6);  // known already: it is not asked about again
    ASSERT_TRUE(deeper.reach(page(7)));
    deeper.leave(false);
    EXPECT_EQ(home_.low, page(2));
    EXPECT_EQ(home_.high, page(8));
}

TEST_F(StackMemoryTest, keeps_the_threads_window_while_another_stack_is_walked) {
    home_ = {page(20), page(22)};
    StackMemory other(home_);
    ASSERT_TRUE(other.enter(page(2)));
    other.leave(false);
    EXPECT_EQ(home_.low, page(20));
    StackMemory root(home_);
    ASSERT_TRUE(root.enter(page(2)));
    root.leave(true);
    EXPECT_EQ(home_.low, page(2))
        << "the walk that ends at the thread's first function says which stack is its own";
    EXPECT_EQ(home_.high, page(3));
}

TEST_F(StackMemoryTest, skips_frames_of_megabytes_without_probing_them) {
    forbid(300);  // inside the large frame
    StackMemory memory(home_);
    ASSERT_TRUE(memory.enter(page(1)));
    EXPECT_FALSE(memory.reach(page(590)));
    EXPECT_TRUE(memory.advance(page(590)));
    EXPECT_TRUE(memory.reach(page(590) - 16)) << "where the callee saved registers";
    EXPECT_FALSE(memory.reach(page(1))) << "no longer known";
    EXPECT_FALSE(memory.advance(page(590) + (512u << 20)));
}

}  // namespace
}  // namespace offheap::unwind
