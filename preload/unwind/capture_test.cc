// Captures of stacks made by hand, of code without unwind information, and of the trampolines that need whole
// rows.
#include "preload/unwind/capture.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <initializer_list>
#include <vector>

#include "preload/unwind/rule_compiler.h"
#include "test/native/unwind/registers_here.h"

namespace offheap::unwind {
namespace {

constexpr uint32_t kCapacity = 256;

struct Captured {
    Capture result;
    uint64_t frames[kCapacity];

    uint64_t address(uint32_t i) const { return frames[i] & kAddressMask; }
    bool is_exact(uint32_t i) const { return frames[i] >> wire::kKeyKindShift == wire::kKeyExactAddress; }
    bool contains_return_into(const void* function, uint64_t bytes) const {
        for (uint32_t i = 0; i < result.count; ++i) {
            if (address(i) - reinterpret_cast<uint64_t>(function) < bytes) return true;
        }
        return false;
    }
};

StackWindow window;
Captured captured;

extern "C" __attribute__((noinline)) void offheap_test_capture() {
    Registers registers;
    OFFHEAP_REGISTERS_HERE(registers);
    captured.result = capture(registers, window, captured.frames, kCapacity);
}

// ---- stacks made by hand, in code that no module holds ----

class MadeStack : public testing::Test {
  protected:
    static constexpr uint64_t kJit = 0x7000'0000'1000;  // nothing is loaded there
    alignas(4096) uint64_t words_[512] = {};
    StackWindow window_{};
    uint64_t frames_[kCapacity] = {};

    uint64_t at(uint32_t index) const { return reinterpret_cast<uint64_t>(&words_[index]); }
    Capture walk(uint64_t rip, uint32_t rsp, uint64_t rbp, uint32_t capacity = kCapacity) {
        return capture({rip, at(rsp), rbp, 0, 0, 0, 0, 0}, window_, frames_, capacity);
    }
};

TEST_F(MadeStack, follows_a_chain_of_frame_pointers_to_its_zero) {
    words_[4] = at(10);
    words_[5] = kJit + 1;
    words_[10] = 0;
    words_[11] = kJit + 2;
    const Capture result = walk(kJit, 0, at(4));
    EXPECT_EQ(result.stop, Stop::end_of_stack);
    ASSERT_EQ(result.count, 3u);
    EXPECT_EQ(frames_[0], exact_frame(kJit));
    EXPECT_EQ(frames_[1], kJit + 1);
    EXPECT_EQ(frames_[2], kJit + 2);
}

TEST_F(MadeStack, ends_at_a_return_address_of_zero) {
    words_[4] = at(10);
    const Capture result = walk(kJit, 0, at(4));
    EXPECT_EQ(result.stop, Stop::end_of_stack);
    EXPECT_EQ(result.count, 1u);
}

TEST_F(MadeStack, refuses_frame_pointers_that_lead_nowhere) {
    words_[4] = at(4);  // a circle
    words_[5] = kJit + 1;
    for (const uint64_t rbp : {at(4), at(4) + 1, at(0) - 8, at(0) + (2 << 20), uint64_t{8}, ~uint64_t{7}}) {
        EXPECT_EQ(walk(kJit, 0, rbp).stop, Stop::no_unwind_info) << rbp - at(0);
        EXPECT_EQ(walk(kJit, 0, rbp).count, 1u);
    }
    words_[4] = at(10);
    words_[5] = 0xdead'beef'dead'beef;
    EXPECT_EQ(walk(kJit, 0, at(4)).stop, Stop::no_unwind_info);
}

TEST_F(MadeStack, leaves_a_chain_for_code_that_can_be_unwound) {
    words_[4] = 12345;  // the caller uses rbp for something else
    words_[5] = kJit + 1;
    EXPECT_EQ(walk(kJit, 0, at(4)).count, 1u);
    words_[5] = reinterpret_cast<uint64_t>(__builtin_return_address(0));
    EXPECT_GE(walk(kJit, 0, at(4)).count, 2u);
}

// ---- trampolines, which no module holds either ----

// A page of code, and one behind it that can't be read.
class Trampoline : public MadeStack {
  protected:
    void SetUp() override {
        void* const pages = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ASSERT_NE(pages, MAP_FAILED);
        code_ = static_cast<uint8_t*>(pages);
        ASSERT_EQ(mprotect(code_ + 4096, 4096, PROT_NONE), 0);
        has_trampolines = true;
    }
    void TearDown() override {
        has_trampolines = false;
        munmap(code_, 8192);
    }

    // The address of these instructions.
    uint64_t put(uint32_t offset, std::initializer_list<uint8_t> code) {
        std::copy(code.begin(), code.end(), code_ + offset);
        return reinterpret_cast<uint64_t>(code_ + offset);
    }

    uint8_t* code_ = nullptr;
};

constexpr std::initializer_list<uint8_t> kAddThenReturn = {0x48, 0x83, 0xc4, 0x08, 0xc3};
constexpr std::initializer_list<uint8_t> kPopThenReturn = {0x5d, 0xc3};

TEST_F(Trampoline, is_left_as_its_next_instructions_will) {
    // Python 3.12's, then 3.14's, whose rbp is on the stack, then the first one with that rbp.
    const uint64_t first = put(64, kAddThenReturn);
    words_[2] = put(128, kPopThenReturn);
    words_[3] = at(20);
    words_[4] = put(192, kAddThenReturn);
    words_[6] = kJit + 1;
    words_[20] = 0;
    words_[21] = kJit + 2;
    const Capture whole = walk(first, 1, 12345);
    EXPECT_EQ(whole.stop, Stop::end_of_stack);
    ASSERT_EQ(whole.count, 5u);
    EXPECT_EQ(frames_[1], words_[2]);
    EXPECT_EQ(frames_[2], words_[4]);
    EXPECT_EQ(frames_[3], kJit + 1);
    EXPECT_EQ(frames_[4], kJit + 2) << "by the frame pointer that it restored";
}

TEST_F(Trampoline, is_looked_for_only_where_there_may_be_some) {
    has_trampolines = false;
    EXPECT_EQ(walk(put(64, kAddThenReturn), 0, 12345).stop, Stop::no_unwind_info);
}

TEST_F(Trampoline, at_the_end_of_what_can_be_read_is_none) {
    const uint64_t last = put(4096 - 4, {0x48, 0x83, 0xc4, 0x08});
    EXPECT_EQ(walk(last, 0, 12345).count, 1u);
    EXPECT_EQ(walk(kJit, 0, 12345).count, 1u);
}

TEST_F(MadeStack, says_when_the_buffer_is_full) {
    for (uint32_t i = 4; i < 400; i += 4) {
        words_[i] = i + 4 < 400 ? at(i + 4) : 0;
        words_[i + 1] = kJit + i;
    }
    const Capture whole = walk(kJit, 0, at(4));
    EXPECT_EQ(whole.stop, Stop::end_of_stack);
    for (const uint32_t capacity : {1u, 2u, whole.count - 1}) {
        const Capture cut = walk(kJit, 0, at(4), capacity);
        EXPECT_EQ(cut.stop, Stop::capacity);
        EXPECT_EQ(cut.count, capacity);
    }
    EXPECT_EQ(walk(kJit, 0, at(4), whole.count).stop, Stop::end_of_stack) << "it fits exactly";
}

TEST_F(MadeStack, reports_a_stack_that_cannot_be_read) {
    const Registers registers{kJit, 4096 * 3, 0, 0, 0, 0, 0, 0};
    const Capture result = capture(registers, window_, frames_, kCapacity);
    EXPECT_EQ(result.stop, Stop::unreadable_stack);
    EXPECT_EQ(result.count, 1u);
}

TEST_F(MadeStack, ignores_what_the_buffer_held) {
    words_[4] = 0;
    words_[5] = kJit + 1;
    for (const uint64_t rubbish : {uint64_t{0}, kJit + 1, kJit + 2, ~uint64_t{0}}) {
        for (uint64_t& frame : frames_) frame = rubbish;
        const Capture result = walk(kJit, 0, at(4));
        EXPECT_EQ(result.stop, Stop::end_of_stack);
        ASSERT_EQ(result.count, 2u);
        EXPECT_EQ(frames_[1], kJit + 1);
    }
}

// ---- real code ----

TEST(Capture, starts_at_the_exact_address_and_ends_at_the_thread_root) {
    offheap_test_capture();
    EXPECT_EQ(captured.result.stop, Stop::end_of_stack);
    EXPECT_TRUE(captured.is_exact(0));
    EXPECT_LT(captured.address(0) - reinterpret_cast<uint64_t>(offheap_test_capture), 200u);
    for (uint32_t i = 1; i < captured.result.count; ++i) EXPECT_FALSE(captured.is_exact(i));
}

TEST(Capture, leaves_errno_alone) {
    errno = 77;
    window = {};
    offheap_test_capture();
    EXPECT_EQ(errno, 77);
}

TEST(Capture, walks_through_code_of_a_jit_compiler) {
    static constexpr uint8_t kCode[] = {0x55, 0x48, 0x89, 0xe5,
                                        0xff, 0xd7, 0x5d, 0xc3};  // a frame that calls rdi
    void* code = mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(code, MAP_FAILED);
    memcpy(code, kCode, sizeof kCode);
    offheap_test_capture();
    const uint32_t without = captured.result.count;
    reinterpret_cast<void (*)(void (*)())>(code)(offheap_test_capture);
    EXPECT_EQ(captured.result.stop, Stop::end_of_stack);
    EXPECT_EQ(captured.result.count, without + 1);
    EXPECT_EQ(captured.address(1), reinterpret_cast<uint64_t>(code) + 6);
    munmap(code, 4096);
}

// Functions that only whole rows can unwind. `keeper` has its CFA in rbx and is called through `clobberer`,
// which saves rbx: the walk must find what rbx was two frames before.
extern "C" void offheap_test_rbx_keeper(void (*)());
extern "C" void offheap_test_far_return(void (*)());
__asm__(R"(
    .text
    .type offheap_test_rbx_keeper, @function
offheap_test_rbx_keeper:
    .cfi_startproc
    push %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbx, 0
    mov %rsp, %rbx
    .cfi_def_cfa rbx, 16
    and $-64, %rsp
    sub $192, %rsp
    call offheap_test_rbx_clobberer
    mov %rbx, %rsp
    .cfi_def_cfa rsp, 16
    pop %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    ret
    .cfi_endproc

offheap_test_rbx_clobberer:
    .cfi_startproc
    push %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbx, 0
    xor %ebx, %ebx
    call *%rdi
    pop %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    ret
    .cfi_endproc

    # Like a system-call site's trampoline: entered by a jump, the way back in rcx, saved by a push.
    .type offheap_test_far_return, @function
offheap_test_far_return:
    .cfi_startproc
    push %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbp, 0
    lea 1f(%rip), %rcx
    jmp offheap_test_trampoline
1:  pop %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbp
    ret
    .cfi_endproc

offheap_test_trampoline:
    .cfi_startproc
    .cfi_signal_frame
    .cfi_def_cfa rsp, 0
    .cfi_register rip, rcx
    push %rcx
    .cfi_adjust_cfa_offset 8
    .cfi_offset rip, -8
    push %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbx, 0
    mov %rsp, %rbx
    .cfi_def_cfa rbx, 16
    and $-16, %rsp
    call *%rdi
    mov %rbx, %rsp
    .cfi_def_cfa rsp, 16
    pop %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_same_value rbx
    pop %rcx
    .cfi_adjust_cfa_offset -8
    .cfi_register rip, rcx
    jmp *%rcx
    .cfi_endproc
)");

TEST(Capture, finds_registers_that_frames_in_between_saved) {
    offheap_test_capture();
    const uint32_t without = captured.result.count;
    offheap_test_rbx_keeper(offheap_test_capture);
    EXPECT_EQ(captured.result.stop, Stop::end_of_stack);
    EXPECT_EQ(captured.result.count, without + 2);
}

TEST(Capture, walks_through_a_trampoline_that_was_not_called) {
    offheap_test_capture();
    const uint32_t without = captured.result.count;
    offheap_test_far_return(offheap_test_capture);
    EXPECT_EQ(captured.result.stop, Stop::end_of_stack);
    ASSERT_EQ(captured.result.count, without + 2);
    EXPECT_TRUE(captured.is_exact(2)) << "what the trampoline returns to";
    EXPECT_FALSE(captured.is_exact(1));
}

// Interrupted where the way back is in rcx only, a register that no call preserves.
extern "C" void offheap_test_trap_with_rip_in_rcx();
__asm__(R"(
    .text
offheap_test_trap_with_rip_in_rcx:
    .cfi_startproc
    lea 1f(%rip), %rcx
    jmp offheap_test_trapping_trampoline
1:  ret
    .cfi_endproc
offheap_test_trapping_trampoline:
    .cfi_startproc
    .cfi_signal_frame
    .cfi_def_cfa rsp, 0
    .cfi_register rip, rcx
    int3
    jmp *%rcx
    .cfi_endproc
)");

TEST(Capture, takes_scratch_registers_from_the_signal_frame) {
    signal(SIGTRAP, [](int) { offheap_test_capture(); });
    offheap_test_trap_with_rip_in_rcx();
    signal(SIGTRAP, SIG_DFL);
    EXPECT_EQ(captured.result.stop, Stop::end_of_stack);
    uint32_t exact = 0;
    for (uint32_t i = 1; i < captured.result.count; ++i) exact += captured.is_exact(i);
    EXPECT_EQ(exact, 2u) << "the trampoline and what it returns to";
}

// Functions whose rules, at their first instruction, point 64 KiB up: from rsp, and from rbp.
extern "C" void offheap_test_far_from_rsp();
extern "C" void offheap_test_far_from_rbp();
__asm__(R"(
    .text
offheap_test_far_from_rsp:
    .cfi_startproc
    .cfi_def_cfa rsp, 65536
    ret
    .cfi_endproc
offheap_test_far_from_rbp:
    .cfi_startproc
    .cfi_def_cfa rbp, 65536
    .cfi_offset rbp, -16
    ret
    .cfi_endproc
)");

TEST(Capture, reads_no_byte_behind_the_stack) {
    constexpr uint64_t kPage = 4096;
    auto* region = static_cast<char*>(
        mmap(nullptr, 32 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_EQ(mprotect(region + 16 * kPage, kPage, PROT_NONE), 0);
    uint64_t frames[4];
    for (void (*function)() : {offheap_test_far_from_rsp, offheap_test_far_from_rbp}) {
        // 16 pages are readable; the CFA of the first is their end, all others' lie behind it.
        for (const uint64_t offset : {uint64_t{0}, uint64_t{8}, kPage, 15 * kPage, 16 * kPage - 8}) {
            StackWindow fresh{};
            const auto rsp = reinterpret_cast<uint64_t>(region) + offset;
            const Capture result =
                capture({reinterpret_cast<uint64_t>(function), rsp, rsp, 0, 0, 0, 0, 0}, fresh, frames, 4);
            EXPECT_EQ(result.stop, offset == 0 ? Stop::end_of_stack : Stop::unreadable_stack) << offset;
            EXPECT_EQ(result.count, 1u);
        }
    }
    munmap(region, 32 * kPage);
}

// A restorer without unwind information, as Go's runtime has one.
extern "C" void offheap_test_restorer();
__asm__(R"(
    .text
    nop
offheap_test_restorer:
    mov $15, %rax
    syscall
)");
struct KernelSigaction {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)();
    uint64_t mask;
};
TEST(Capture, recognises_a_signal_frame_by_the_code_that_it_returns_to) {
    const KernelSigaction action{[](int) { offheap_test_capture(); }, 0x04000000 /* SA_RESTORER */,
                                 offheap_test_restorer, 0};
    ASSERT_EQ(syscall(SYS_rt_sigaction, SIGUSR1, &action, nullptr, 8), 0);
    offheap_test_capture();
    raise(SIGUSR1);
    signal(SIGUSR1, SIG_DFL);
    EXPECT_EQ(captured.result.stop, Stop::end_of_stack);
    uint32_t exact = 0;
    for (uint32_t i = 1; i < captured.result.count; ++i) exact += captured.is_exact(i);
    EXPECT_EQ(exact, 1u) << "the interrupted frame";
}

// ---- the stack that a capture itself takes ----

constexpr uint64_t kPaint = 0x5a5a5a5a5a5a5a5a;
uint64_t painted[1024];
ucontext_t painted_context;
ucontext_t main_context;
uint64_t used_bytes;

// Everything that the capture's calls have written below this function's frame.
__attribute__((noinline)) void capture_on_painted_stack() {
    Registers registers;
    OFFHEAP_REGISTERS_HERE(registers);
    const auto low = reinterpret_cast<uint64_t>(painted);
    for (uint64_t at = low; at < registers.rsp; at += 8) *reinterpret_cast<volatile uint64_t*>(at) = kPaint;
    captured.result = capture(registers, window, captured.frames, kCapacity);
    uint64_t first = low;
    while (*reinterpret_cast<volatile uint64_t*>(first) == kPaint) first += 8;
    used_bytes = registers.rsp - first;
}
void painted_body() {
    capture_on_painted_stack();
    swapcontext(&painted_context, &main_context);
}
uint64_t measure_stack() {
    getcontext(&painted_context);
    painted_context.uc_stack.ss_sp = painted;
    painted_context.uc_stack.ss_size = sizeof painted;
    painted_context.uc_link = nullptr;
    makecontext(&painted_context, painted_body, 0);
    swapcontext(&main_context, &painted_context);
    return used_bytes;
}

TEST(Capture, fits_on_a_tiny_alternate_stack) {
#if defined(__SANITIZE_ADDRESS__)
    GTEST_SKIP() << "sanitizers enlarge frames";
#endif
    invalidate_all();
    const uint64_t cold = measure_stack();
    const uint64_t warm = measure_stack();
    RecordProperty("cold_bytes", static_cast<int>(cold));
    RecordProperty("warm_bytes", static_cast<int>(warm));
    EXPECT_LT(warm, 512u);
    EXPECT_LT(cold, 1024u);
    EXPECT_EQ(captured.result.stop, Stop::end_of_stack) << "a coroutine's first function";
    printf("a capture took %lu bytes of stack with a cold cache, %lu with a warm one\n",
           static_cast<unsigned long>(cold), static_cast<unsigned long>(warm));
}

}  // namespace
}  // namespace offheap::unwind
