// Every shape of stack that programs make, captured and compared with libunwind and libgcc.
#include <alloca.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <random>
#include <thread>
#include <vector>

#include "test/native/unwind/oracles.h"

namespace offheap::unwind {
namespace {

using oracles::compare_here;
using oracles::compare_in_coroutine;
using oracles::compare_walks_here;

#define OFFHEAP_FRAME __attribute__((noinline))
// Keeps a call from becoming a jump and its frame from being left out.
#define OFFHEAP_AFTER_CALL() __asm__ volatile("" ::: "memory")

// Each test may find what earlier ones left in the thread's window: so do hooks.
class Shapes : public testing::Test {
  protected:
    void SetUp() override { before_ = oracles::tally(); }
    void TearDown() override {
        const oracles::Tally now = oracles::tally();
        EXPECT_GT(now.captures + now.incremental_captures, before_.captures + before_.incremental_captures)
            << "nothing was compared";
        EXPECT_EQ(now.mismatches, before_.mismatches) << now.first_mismatch;
    }

  private:
    oracles::Tally before_;
};

OFFHEAP_FRAME void recurse(int depth) {
    if (depth == 0) {
        compare_here();
    } else {
        recurse(depth - 1);
    }
    OFFHEAP_AFTER_CALL();
}

TEST_F(Shapes, main_thread) { compare_here(); }

TEST_F(Shapes, ten_thousand_frames) {
    recurse(10'000);
    EXPECT_GE(oracles::tally().deepest, 10'000u);
}

TEST_F(Shapes, stack_that_deepens_and_rises) {
    for (int depth : {5, 500, 50, 5'000, 1, 20'000, 3}) recurse(depth);
}

OFFHEAP_FRAME void with_alloca(int depth, size_t bytes) {
    auto* block = static_cast<volatile char*>(alloca(bytes));
    block[0] = 1;
    if (depth == 0) {
        compare_here();
    } else {
        with_alloca(depth - 1, bytes * 3 % 977 + 16);
    }
    OFFHEAP_AFTER_CALL();
}
TEST_F(Shapes, alloca_of_varying_size) { with_alloca(60, 100); }

OFFHEAP_FRAME void with_megabytes(size_t bytes) {
    auto* block = static_cast<volatile char*>(alloca(bytes));
    block[0] = 1;
    compare_here();
    OFFHEAP_AFTER_CALL();
}
TEST_F(Shapes, frame_of_megabytes) {
    for (int i = 0; i < 3; ++i) with_megabytes(5 << 20);
    compare_here();
}

struct alignas(64) Aligned {
    volatile char bytes[64];
};
// An over-aligned local beside alloca makes gcc keep the CFA in a slot (DRAP): *(rbp - n).
OFFHEAP_FRAME void with_aligned_stack(int depth, size_t bytes) {
    Aligned local;
    local.bytes[0] = 1;
    auto* block = static_cast<volatile char*>(alloca(bytes));
    block[0] = local.bytes[0];
    if (depth == 0) {
        compare_here();
    } else {
        with_aligned_stack(depth - 1, bytes + 8);
    }
    OFFHEAP_AFTER_CALL();
}
TEST_F(Shapes, overaligned_stack) { with_aligned_stack(20, 33); }

struct CapturesWhenDestroyed {
    ~CapturesWhenDestroyed() { compare_here(); }
};
OFFHEAP_FRAME void throw_through(int depth) {
    CapturesWhenDestroyed object;
    if (depth == 0) throw depth;
    throw_through(depth - 1);
    OFFHEAP_AFTER_CALL();
}
TEST_F(Shapes, exception_in_flight) {
    for (int i = 0; i < 3; ++i) {
        try {
            throw_through(12);
        } catch (int) {
            compare_here();
        }
    }
}

jmp_buf jump_target;
OFFHEAP_FRAME void jump_from(int depth) {
    compare_here();
    if (depth > 0) jump_from(depth - 1);
    if (depth == 0) longjmp(jump_target, 1);
    OFFHEAP_AFTER_CALL();
}
OFFHEAP_FRAME void jump_and_compare(int depth) {
    if (setjmp(jump_target) == 0) jump_from(depth);
    compare_here();
}
TEST_F(Shapes, longjmp_over_frames) {
    for (const int depth : {3, 12, 21, 39}) jump_and_compare(depth);
}

int compare_integers(const void* left, const void* right) {
    compare_here();
    return *static_cast<const int*>(left) - *static_cast<const int*>(right);
}
TEST_F(Shapes, callback_from_libc) {
    int numbers[] = {5, 3, 9, 1, 7, 2};
    qsort(numbers, 6, sizeof(int), compare_integers);
    const int key = 7;
    bsearch(&key, numbers, 6, sizeof(int), compare_integers);
}

void on_signal(int) { recurse(4); }
void raise_with(int flags, int signal_number) {
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = flags;
    sigaction(signal_number, &action, nullptr);
    raise(signal_number);
}
TEST_F(Shapes, signal_handler) { raise_with(0, SIGUSR1); }

class AlternateStack {
  public:
    AlternateStack() {
        bytes_.resize(1 << 20);  // a dozen nested handlers; the kernel's part of each may be 12 KiB
        const stack_t stack{bytes_.data(), 0, bytes_.size()};
        sigaltstack(&stack, nullptr);
    }
    ~AlternateStack() {
        const stack_t none{nullptr, SS_DISABLE, 0};
        sigaltstack(&none, nullptr);
    }

  private:
    std::vector<char> bytes_;
};

TEST_F(Shapes, signal_handler_on_alternate_stack) {
    AlternateStack stack;
    for (int i = 0; i < 4; ++i) raise_with(SA_ONSTACK, SIGUSR1);
}

void raise_nested(int) { raise_with(0, SIGUSR1); }
TEST_F(Shapes, nested_signals) {
    AlternateStack stack;
    struct sigaction action {};
    action.sa_handler = raise_nested;
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGUSR2, &action, nullptr);
    raise(SIGUSR2);
}

extern "C" void offheap_test_trap_on();
extern "C" void offheap_test_trap_off();
__asm__(R"(
    .macro offheap_set_flags name, operation, mask
    .type \name, @function
\name:
    .cfi_startproc
    pushfq
    .cfi_adjust_cfa_offset 8
    \operation $\mask, (%rsp)
    popfq
    .cfi_adjust_cfa_offset -8
    ret
    .cfi_endproc
    .size \name, . - \name
    .endm
    .text
    offheap_set_flags offheap_test_trap_on, orq, 0x100
    offheap_set_flags offheap_test_trap_off, andq, ~0x100
)");

// Interrupted between two instructions of a function whose frame is half built: exact addresses and rows
// matter.
void on_trap(int, siginfo_t*, void*) { compare_here(); }
TEST_F(Shapes, signal_at_every_instruction) {
    AlternateStack stack;
    struct sigaction action {};
    action.sa_sigaction = on_trap;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGTRAP, &action, nullptr);
    const uint64_t before = oracles::tally().captures;
    // The trap flag raises SIGTRAP behind each instruction, through the prologues, the PLT and libc.
    char text[64];
    offheap_test_trap_on();
    snprintf(text, sizeof text, "%d %s", 42, "single step");
    void* block = malloc(100);
    free(block);
    offheap_test_trap_off();
    EXPECT_GT(oracles::tally().captures - before, 500u);
}

TEST_F(Shapes, threads) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([i] {
            for (int round = 0; round < 50; ++round) recurse(i * 7 + round);
        });
    }
    for (std::thread& thread : threads) thread.join();
}

// ---- coroutines ----

class Coroutine {
  public:
    explicit Coroutine(void (*body)()) {
        stack_ = static_cast<char*>(
            mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        getcontext(&own_);
        own_.uc_stack.ss_sp = stack_;
        own_.uc_stack.ss_size = kBytes;
        own_.uc_link = &caller_;
        makecontext(&own_, body, 0);
    }
    ~Coroutine() { munmap(stack_, kBytes); }
    void resume() { swapcontext(&caller_, &own_); }
    void yield() { swapcontext(&own_, &caller_); }

  private:
    static constexpr size_t kBytes = 64 << 10;
    char* stack_;
    ucontext_t own_{};
    ucontext_t caller_{};
};

Coroutine* running;
OFFHEAP_FRAME void recurse_in_coroutine(int depth) {
    if (depth == 0) {
        compare_in_coroutine();
        running->yield();
        compare_in_coroutine();
    } else {
        recurse_in_coroutine(depth - 1);
    }
    OFFHEAP_AFTER_CALL();
}
void coroutine_body() {
    for (int depth = 0; depth < 40; depth += 13) recurse_in_coroutine(depth);
}
TEST_F(Shapes, coroutines) {
    for (int i = 0; i < 8; ++i) {
        Coroutine coroutine(coroutine_body);
        running = &coroutine;
        for (int turn = 0; turn < 5; ++turn) {
            coroutine.resume();
            recurse(turn);
        }
    }
}

// ---- one stack whose callers change under the same leaf ----

// Each of these calls `compare_walks_here` from the same place, with the same stack pointer, on behalf of
// others.
OFFHEAP_FRAME void shared_leaf() {
    compare_walks_here();
    OFFHEAP_AFTER_CALL();
}
OFFHEAP_FRAME void shared_middle() {
    shared_leaf();
    OFFHEAP_AFTER_CALL();
}
OFFHEAP_FRAME void caller_a() {
    shared_middle();
    OFFHEAP_AFTER_CALL();
}
OFFHEAP_FRAME void caller_b() {
    shared_middle();
    OFFHEAP_AFTER_CALL();
}
OFFHEAP_FRAME void with_frame_pointer(size_t bytes, void (*callee)()) {
    // alloca makes rbp the base; the callees keep it without touching it.
    auto* block = static_cast<volatile char*>(alloca(bytes));
    block[0] = 1;
    callee();
    callee();
    OFFHEAP_AFTER_CALL();
}
TEST_F(Shapes, callers_that_alternate_under_one_leaf) {
    for (int round = 0; round < 1'000; ++round) {
        caller_a();
        caller_b();
        with_frame_pointer(16 + static_cast<size_t>(round) % 5 * 16, round % 2 == 0 ? caller_a : caller_b);
        with_frame_pointer(16 + static_cast<size_t>(round) % 3 * 16, shared_leaf);
    }
}

// ---- all of them, mixed at random ----

struct Mixture {
    std::mt19937 random;
    int left;  // frames until the deepest
    void (*compare)();
};
void descend(Mixture& mixture);
thread_local Mixture* in_signal;
thread_local Mixture* in_sort;
Mixture* in_coroutine;

OFFHEAP_FRAME void jump_from_mixture(Mixture& mixture, int depth) {
    mixture.compare();
    if (depth > 0) jump_from_mixture(mixture, depth - 1);
    if (depth == 0) longjmp(jump_target, 1);
    OFFHEAP_AFTER_CALL();
}
OFFHEAP_FRAME void recurse_and_switch(Mixture& mixture, uint32_t depth) {
    mixture.compare();
    if (depth == 0) {
        running->yield();
        mixture.compare();
    } else {
        recurse_and_switch(mixture, depth - 1);
    }
    OFFHEAP_AFTER_CALL();
}
void switching_body() {
    Mixture& mixture = *in_coroutine;
    recurse_and_switch(mixture, mixture.random() % 9);
}

OFFHEAP_FRAME void descend_with_alloca(Mixture& mixture) {
    auto* block = static_cast<volatile char*>(alloca(mixture.random() % 300 + 1));
    block[0] = 1;
    descend(mixture);
    OFFHEAP_AFTER_CALL();
}
OFFHEAP_FRAME void descend_aligned(Mixture& mixture) {
    Aligned local;
    local.bytes[0] = 1;
    auto* block = static_cast<volatile char*>(alloca(mixture.random() % 300 + 1));
    block[0] = local.bytes[0];
    descend(mixture);
    OFFHEAP_AFTER_CALL();
}
OFFHEAP_FRAME void descend_by_throwing(Mixture& mixture) {
    try {
        throw 1;
    } catch (int) {
        descend(mixture);
    }
    OFFHEAP_AFTER_CALL();
}
OFFHEAP_FRAME void descend_by_sorting(Mixture& mixture) {
    Mixture* outer = in_sort;
    in_sort = &mixture;
    int two[] = {2, 1};
    qsort(two, 2, sizeof(int), [](const void*, const void*) {
        Mixture* mine = in_sort;
        in_sort = nullptr;
        if (mine != nullptr) descend(*mine);
        return 0;
    });
    in_sort = outer;
}
void descend_in_handler(int) {
    Mixture* mine = in_signal;
    in_signal = nullptr;
    if (mine != nullptr) descend(*mine);
    OFFHEAP_AFTER_CALL();
}
OFFHEAP_FRAME void descend_by_signal(Mixture& mixture) {
    struct sigaction action {};
    action.sa_handler = descend_in_handler;
    action.sa_flags = SA_NODEFER | (mixture.random() % 2 == 0 ? SA_ONSTACK : 0);
    sigaction(SIGUSR1, &action, nullptr);
    in_signal = &mixture;
    raise(SIGUSR1);
}
OFFHEAP_FRAME void descend_plainly(Mixture& mixture) {
    descend(mixture);
    OFFHEAP_AFTER_CALL();
}

OFFHEAP_FRAME void descend_by_jumping(Mixture& mixture) {
    jmp_buf outer;
    __builtin_memcpy(&outer, &jump_target, sizeof outer);
    if (setjmp(jump_target) == 0) {
        jump_from_mixture(mixture, 3);
    } else {
        mixture.compare();
    }
    __builtin_memcpy(&jump_target, &outer, sizeof outer);
    descend(mixture);
    OFFHEAP_AFTER_CALL();
}
// The main stack goes on growing while the coroutine's keeps what it held.
OFFHEAP_FRAME void descend_by_switching(Mixture& mixture) {
    Coroutine coroutine(switching_body);
    Coroutine* outer = running;
    in_coroutine = &mixture;
    running = &coroutine;
    coroutine.resume();
    descend(mixture);
    running = &coroutine;
    coroutine.resume();
    running = outer;
    OFFHEAP_AFTER_CALL();
}

OFFHEAP_FRAME void descend(Mixture& mixture) {
    mixture.compare();
    if (mixture.left-- <= 0) return;
    // Twice at times: the second descent finds what the first left in memory below.
    for (uint32_t times = mixture.random() % 16 == 0 ? 2 : 1; times > 0; --times) {
        switch (mixture.random() % 11) {
            case 0:
                descend_with_alloca(mixture);
                break;
            case 1:
                descend_aligned(mixture);
                break;
            case 2:
                descend_by_throwing(mixture);
                break;
            case 3:
                descend_by_sorting(mixture);
                break;
            case 4:
                descend_by_signal(mixture);
                break;
            case 5:
                descend_by_jumping(mixture);
                break;
            case 6:
                descend_by_switching(mixture);
                break;
            default:
                descend_plainly(mixture);
        }
        mixture.compare();
    }
    mixture.compare();
}

TEST_F(Shapes, random_mixtures) {
    AlternateStack stack;
    for (uint32_t seed = 0; seed < 60; ++seed) {
        Mixture mixture{std::mt19937(seed), static_cast<int>(seed % 40) + 5, compare_in_coroutine};
        descend(mixture);
    }
}

TEST_F(Shapes, a_million_incremental_captures) {
    AlternateStack stack;
    const oracles::Tally before = oracles::tally();
    uint64_t captures = 0;
    for (uint32_t seed = 0; captures < 1'000'000; ++seed) {
        Mixture mixture{std::mt19937(seed), static_cast<int>(seed % 60) + 5, compare_walks_here};
        descend(mixture);
        captures = oracles::tally().incremental_captures - before.incremental_captures;
    }
    const oracles::Tally now = oracles::tally();
    EXPECT_GT(now.unchanged_frames - before.unchanged_frames,
              (now.incremental_frames - before.incremental_frames) / 4)
        << "little was reused, so little was tested";
    RecordProperty("captures", std::to_string(captures));
}

}  // namespace
}  // namespace offheap::unwind
