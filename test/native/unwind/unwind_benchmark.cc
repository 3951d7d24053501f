// Prints the nanoseconds of one capture, with a warm cache, beside other unwinders'.
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#include <stdio.h>
#include <time.h>
#include <unwind.h>

#include <algorithm>
#include <vector>

#include "preload/unwind/remembered_stack.h"
#include "test/native/unwind/registers_here.h"

namespace offheap::unwind {
namespace {

constexpr uint32_t kCapacity = 512;
StackWindow window;
uint64_t frames[kCapacity];
void* addresses[kCapacity];
uint32_t count;
alignas(64) char memory[RememberedStack::bytes_for(kCapacity)];
RememberedStack remembered;

uint64_t now_ns() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

// The lower quartile of many short rounds: on a machine that others use, the median is theirs.
template <typename Body>
double nanoseconds(uint32_t iterations, Body body) {
    std::vector<double> rounds;
    for (int round = 0; round < 400; ++round) {
        const uint64_t start = now_ns();
        for (uint32_t i = 0; i < iterations; ++i) body();
        rounds.push_back(static_cast<double>(now_ns() - start) / iterations);
    }
    std::sort(rounds.begin(), rounds.end());
    return rounds[rounds.size() / 4];
}

_Unwind_Reason_Code ignore_frame(_Unwind_Context*, void*) { return _URC_NO_REASON; }

// Two frames that differ from call to call, on the same place of the stack.
#define OFFHEAP_LEAF(name)                               \
    __attribute__((noinline)) void leaf_##name() {       \
        Registers registers;                             \
        OFFHEAP_REGISTERS_HERE(registers);               \
        remembered.capture(registers, window);           \
        __asm__ volatile("" ::: "memory");               \
    }                                                    \
    __attribute__((noinline)) void above_leaf_##name() { \
        leaf_##name();                                   \
        __asm__ volatile("" ::: "memory");               \
    }
OFFHEAP_LEAF(a)
OFFHEAP_LEAF(b)

void measure() {
    Registers registers;
    OFFHEAP_REGISTERS_HERE(registers);
    const double whole =
        nanoseconds(4'000, [&] { count = capture(registers, window, frames, kCapacity).count; });
    const double cold_predictions = nanoseconds(4'000, [&] {
        for (uint32_t i = 0; i < count; ++i) frames[i] = 0;
        __asm__ volatile("" ::: "memory");
        capture(registers, window, frames, kCapacity);
    });
    remembered.place(memory, kCapacity);
    const double same = nanoseconds(4'000, [&] { remembered.capture(registers, window); });
    const double two_vary = nanoseconds(2'000,
                                        [&] {
                                            above_leaf_a();
                                            above_leaf_b();
                                        }) /
                            2;
    const double fresh = nanoseconds(4'000, [&] {
        remembered.forget();
        remembered.capture(registers, window);
    });
    const double libunwind = nanoseconds(2'000, [] { unw_backtrace(addresses, kCapacity); });
    const double libgcc = nanoseconds(20, [] { _Unwind_Backtrace(ignore_frame, nullptr); });
    printf("%6u %10.1f %10.1f %10.1f %10.1f %12.1f %10.1f %10.1f\n", count, same, two_vary, fresh, whole,
           cold_predictions, libunwind, libgcc);
}

// Nine different callers, so that the stack is not one rule over and over.
#define OFFHEAP_LEVEL(n) __attribute__((noinline)) void level_##n(int depth);
OFFHEAP_LEVEL(0)
OFFHEAP_LEVEL(1)
OFFHEAP_LEVEL(2)
OFFHEAP_LEVEL(3)
OFFHEAP_LEVEL(4)
#undef OFFHEAP_LEVEL
#define OFFHEAP_LEVEL(n, next, words)                     \
    __attribute__((noinline)) void level_##n(int depth) { \
        volatile long local[words];                       \
        local[0] = depth;                                 \
        if (depth == 0) {                                 \
            measure();                                    \
        } else {                                          \
            level_##next(depth - 1);                      \
        }                                                 \
        (void)local[words - 1];                           \
    }
OFFHEAP_LEVEL(0, 1, 2)
OFFHEAP_LEVEL(1, 2, 7)
OFFHEAP_LEVEL(2, 3, 16)
OFFHEAP_LEVEL(3, 4, 1)
OFFHEAP_LEVEL(4, 0, 30)

}  // namespace
}  // namespace offheap::unwind

int main() {
    printf("nanoseconds per capture, warm; the first three are incremental\n");
    printf("%6s %10s %10s %10s %10s %12s %10s %10s\n", "frames", "same", "2 leaves", "new", "whole",
           "unpredicted", "libunwind", "libgcc");
    // main, its callers in libc and measure() make up the rest of the frames.
    for (const int frames : {10, 30, 60, 120}) offheap::unwind::level_0(frames - 7);
    return 0;
}
