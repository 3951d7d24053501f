#include "test/native/verify/checked_capture.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "preload/unwind/remembered_stack.h"
#include "preload/unwind/rule_cache.h"
#include "preload/unwind/rule_compiler.h"
#include "preload/unwind/walk.h"
#include "test/native/unwind/registers_here.h"
#include "test/native/verify/libunwind.h"
#include "test/native/verify/tally.h"

namespace offheap::verify {
namespace {

using namespace offheap::unwind;

constexpr uint32_t kMaxFrames = 1 << 15;

struct Frames {
    uint64_t at[kMaxFrames];  // leaf first
    uint32_t count;
};

struct Thread {
    uint32_t captures;
    uint32_t windows_epoch;
    StackWindow window;
    RememberedStack remembered;
    Frames ours;
    Frames walk;
    Frames libunwind;
    char memory[RememberedStack::bytes_for(kMaxFrames)];
};

__attribute__((tls_model("initial-exec"))) thread_local Thread* current;
__attribute__((tls_model("initial-exec"))) thread_local bool inside;
uint32_t windows_epoch;

void count(uint64_t& counter, uint64_t more = 1) { __atomic_fetch_add(&counter, more, __ATOMIC_RELAXED); }

// Threads leave it behind: the programs of this test have few.
Thread* thread() {
    if (current != nullptr) return current;
    void* memory = mmap(nullptr, sizeof(Thread), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    current = static_cast<Thread*>(memory);
    current->remembered.place(current->memory, kMaxFrames);
    return current;
}

int describe(char* text, size_t room, const char* name, const Frames& frames) {
    int length = snprintf(text, room, "%s (%u):", name, frames.count);
    for (uint32_t i = 0; i < frames.count && i < 60 && length < int(room) - 24; ++i) {
        length += snprintf(text + length, room - length, " %lx", frames.at[i]);
    }
    length += snprintf(text + length, room - length, "\n");
    return length;
}

void mismatch(uint64_t& counter, const Frames& ours, const char* name, const Frames& other) {
    count(counter);
    if (__atomic_exchange_n(&tally->first_mismatch[0], '!', __ATOMIC_RELAXED) != 0) return;
    char* text = tally->first_mismatch + 1;
    constexpr size_t kRoom = sizeof tally->first_mismatch - 1;
    const int length = describe(text, kRoom / 2, "captured", ours);
    describe(text + length, kRoom - length, name, other);
}

void copy(const RememberedStack& stack, Frames& frames) {
    frames.count = stack.count();
    for (uint32_t i = 0; i < frames.count; ++i) {
        frames.at[i] = stack.frames()[frames.count - 1 - i].frame;
    }
}

void check_by_walk(Thread& thread, const Registers& registers) {
    StackWindow window = {};
    const Capture whole = unwind::capture(registers, window, thread.walk.at, kMaxFrames);
    thread.walk.count = whole.count;
    count(tally->checked_by_walk);
    if (whole.stop != Stop::end_of_stack) count(tally->incomplete);
    const bool is_equal = thread.remembered.stop() == whole.stop && thread.ours.count == whole.count &&
                          memcmp(thread.ours.at, thread.walk.at, whole.count * sizeof(uint64_t)) == 0;
    if (!is_equal) mismatch(tally->walk_mismatches, thread.ours, "whole walk", thread.walk);
}

void walk_with_libunwind(unw_cursor_t& cursor, Frames& frames) {
    frames.count = 0;
    do {
        unw_word_t address = 0;
        libunwind.get_register(&cursor, UNW_REG_IP, &address);
        if (address == 0) break;
        frames.at[frames.count++] = address;
    } while (frames.count < kMaxFrames && libunwind.step(&cursor) > 0);
}

// libunwind runs past the end of a coroutine. Behind code that no table describes each unwinder guesses in
// its own way: as long as the two agree their frames are counted, and a difference is no mismatch.
void check_by_libunwind(Thread& thread) {
    const Frames& ours = thread.ours;
    const Frames& other = thread.libunwind;
    count(tally->checked_by_libunwind);
    bool is_guess = false;
    RuleKind kind = rule_of(ours.at[0], rule_cache.epoch()).kind();
    // The leaf is one function's in both, at different instructions.
    for (uint32_t i = 1; i < ours.count; ++i) {
        is_guess |= kind == RuleKind::frame_pointer;
        if (i >= other.count || other.at[i] != (ours.at[i] & kAddressMask)) {
            if (!is_guess) mismatch(tally->libunwind_mismatches, ours, "libunwind", other);
            return;
        }
        count(tally->compared_frames);
        kind = rule_of(ours.at[i], rule_cache.epoch()).kind();
    }
    if (kind == RuleKind::end && other.count != ours.count) {
        mismatch(tally->libunwind_mismatches, ours, "libunwind", other);
    }
}

}  // namespace

// All walks start in this function.
__attribute__((noinline)) void capture_here() {
    if (tally == nullptr || inside) return;
    Thread* mine = thread();
    if (mine == nullptr) return;
    inside = true;
    if (mine->windows_epoch != __atomic_load_n(&windows_epoch, __ATOMIC_ACQUIRE)) {
        mine->windows_epoch = __atomic_load_n(&windows_epoch, __ATOMIC_ACQUIRE);
        mine->window = {};
    }
    Registers registers;
    OFFHEAP_REGISTERS_HERE(registers);
    mine->remembered.capture(registers, mine->window);
    count(tally->captures);
    count(tally->frames, mine->remembered.count());
    count(tally->unchanged_frames, mine->remembered.unchanged());
    if (mine->remembered.stop() == Stop::capacity) {
        count(tally->too_deep);
    } else if (++mine->captures % check_every == 0) {
        copy(mine->remembered, mine->ours);
        check_by_walk(*mine, registers);
        unw_context_t context;
        unw_cursor_t cursor;
        libunwind.get_context(&context);
        libunwind.init_local(&cursor, &context);
        walk_with_libunwind(cursor, mine->libunwind);
        check_by_libunwind(*mine);
    }
    inside = false;
    __asm__ volatile("");
}

void forget_windows() { __atomic_fetch_add(&windows_epoch, 1, __ATOMIC_RELEASE); }

}  // namespace offheap::verify
