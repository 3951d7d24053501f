#include "test/native/unwind/oracles.h"

#include <pthread.h>
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#include <unwind.h>

#include <cstdio>
#include <mutex>

#include "preload/unwind/remembered_stack.h"
#include "preload/unwind/rule_compiler.h"
#include "test/native/unwind/registers_here.h"

namespace offheap::unwind::oracles {
namespace {

constexpr uint32_t kMaxFrames = 1 << 17;

struct Frames {
    uint64_t at[kMaxFrames];
    uint32_t count;
};

struct Buffers {
    StackWindow window;
    uint64_t ours[kMaxFrames];
    Frames libunwind;
    Frames libgcc;
    StackWindow incremental_window;
    RememberedStack remembered;
    char memory[RememberedStack::bytes_for(kMaxFrames)];
};

Buffers& buffers() {
    // On the heap: threads of the tests come and go, and so much thread-local memory would fill their stacks.
    static thread_local Buffers* mine = nullptr;
    if (mine == nullptr) {
        mine = new Buffers();
        mine->remembered.place(mine->memory, kMaxFrames);
    }
    return *mine;
}

std::mutex tally_lock;
Tally total;

_Unwind_Reason_Code add_frame(_Unwind_Context* context, void* argument) {
    auto* frames = static_cast<Frames*>(argument);
    if (frames->count < kMaxFrames) frames->at[frames->count++] = _Unwind_GetIP(context);
    return _URC_NO_REASON;
}

void describe(std::string& text, const char* name, const uint64_t* frames, uint32_t count) {
    char line[64];
    snprintf(line, sizeof line, "\n%s (%u):", name, count);
    text += line;
    for (uint32_t i = 0; i < count && i < 40; ++i) {
        snprintf(line, sizeof line, " %lx", static_cast<unsigned long>(frames[i]));
        text += line;
    }
}

bool equal(const uint64_t* ours, uint32_t count, const Frames& other, bool may_be_longer) {
    if (other.count < count || (other.count > count && !may_be_longer)) return false;
    // The leaf is this file's function in all of them, at different instructions.
    for (uint32_t i = 1; i < count; ++i) {
        if ((ours[i] & kAddressMask) != other.at[i]) return false;
    }
    return true;
}

bool equal(const Capture& whole, const uint64_t* frames, const RememberedStack& remembered) {
    if (remembered.stop() != whole.stop || remembered.count() != whole.count) return false;
    for (uint32_t i = 0; i < whole.count; ++i) {
        if (remembered.frames()[i].frame != frames[whole.count - 1 - i]) return false;
    }
    return true;
}

// The incremental capture beside the whole walk.
void compare_walks(Buffers& buffer, const Registers& registers) {
    const Capture whole = unwind::capture(registers, buffer.window, buffer.ours, kMaxFrames);
    buffer.remembered.capture(registers, buffer.incremental_window);
    const bool is_equal = equal(whole, buffer.ours, buffer.remembered);
    const std::lock_guard<std::mutex> lock(tally_lock);
    ++total.incremental_captures;
    total.unchanged_frames += buffer.remembered.unchanged();
    total.incremental_frames += buffer.remembered.count();
    if (is_equal) return;
    ++total.mismatches;
    if (!total.first_mismatch.empty()) return;
    total.first_mismatch = "stop " + std::to_string(static_cast<int>(buffer.remembered.stop()));
    describe(total.first_mismatch, "whole, leaf first", buffer.ours, whole.count);
    for (uint32_t i = 0; i < buffer.remembered.count(); ++i) {
        buffer.ours[i] = buffer.remembered.frames()[i].frame;
    }
    describe(total.first_mismatch, "incremental, root first", buffer.ours, buffer.remembered.count());
}

// Inlined into what is public, so that all three unwinders start in the same frame.
__attribute__((always_inline)) inline void compare(bool in_coroutine) {
    Buffers& buffer = buffers();
    Registers registers;
    OFFHEAP_REGISTERS_HERE(registers);
    compare_walks(buffer, registers);
    const Capture capture = unwind::capture(registers, buffer.window, buffer.ours, kMaxFrames);

    unw_context_t context;
    unw_cursor_t cursor;
    unw_getcontext(&context);
    unw_init_local(&cursor, &context);
    buffer.libunwind.count = 0;
    do {
        unw_word_t address = 0;
        unw_get_reg(&cursor, UNW_REG_IP, &address);
        if (address == 0) break;
        buffer.libunwind.at[buffer.libunwind.count++] = address;
    } while (buffer.libunwind.count < kMaxFrames && unw_step(&cursor) > 0);

    buffer.libgcc.count = 0;
    _Unwind_Backtrace(add_frame, &buffer.libgcc);
    // libgcc reports the root's missing caller as a frame at 0.
    while (buffer.libgcc.count > 0 && buffer.libgcc.at[buffer.libgcc.count - 1] == 0) --buffer.libgcc.count;

    const bool is_equal = capture.stop == Stop::end_of_stack &&
                          equal(buffer.ours, capture.count, buffer.libunwind, in_coroutine) &&
                          equal(buffer.ours, capture.count, buffer.libgcc, false);
    const std::lock_guard<std::mutex> lock(tally_lock);
    ++total.captures;
    total.frames += capture.count;
    if (capture.count > total.deepest) total.deepest = capture.count;
    if (is_equal) return;
    ++total.mismatches;
    if (!total.first_mismatch.empty()) return;
    total.first_mismatch = "stop " + std::to_string(static_cast<int>(capture.stop));
    describe(total.first_mismatch, "ours", buffer.ours, capture.count);
    describe(total.first_mismatch, "libunwind", buffer.libunwind.at, buffer.libunwind.count);
    describe(total.first_mismatch, "libgcc", buffer.libgcc.at, buffer.libgcc.count);
}

}  // namespace

Tally tally() {
    const std::lock_guard<std::mutex> lock(tally_lock);
    return total;
}

__attribute__((noinline)) void compare_walks_here() {
    Registers registers;
    OFFHEAP_REGISTERS_HERE(registers);
    compare_walks(buffers(), registers);
    __asm__ volatile("");
}

__attribute__((noinline)) void compare_here() {
    compare(false);
    __asm__ volatile("");
}

__attribute__((noinline)) void compare_in_coroutine() {
    compare(true);
    __asm__ volatile("");
}

}  // namespace offheap::unwind::oracles
