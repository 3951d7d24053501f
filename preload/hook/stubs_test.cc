// Stubs and the trampoline behind them, run for real.
#include "preload/hook/stubs.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "preload/hook/operations.h"
#include "test/native/arrived_calls.h"
#include "test/native/code_buffer.h"

namespace offheap::hook {
namespace {

using test::arrived_calls;
using test::CodeBuffer;

// Replaces the two bytes at `site` and those of a padding behind it by jumps, as sites.cc does.
void divert(CodeBuffer& code, uint64_t site, uint64_t padding, uint64_t stub) {
    code.put(site, {0xeb, static_cast<int>(padding - (site + 2))});
    const auto far = static_cast<uint32_t>(stub - code.address(padding + 5));
    code.put(padding, {0xe9, static_cast<int>(far & 255), static_cast<int>(far >> 8 & 255),
                       static_cast<int>(far >> 16 & 255), static_cast<int>(far >> 24)});
}

class StubTest : public testing::Test {
  protected:
    void SetUp() override { ASSERT_TRUE(page_.map(code_.address(0))); }
    void TearDown() override { munmap(reinterpret_cast<void*>(page_.address()), 4096); }

    void run_from_here() {
        ASSERT_TRUE(page_.seal());
        code_.make_executable();
        arrived_calls = {};
    }

    CodeBuffer code_;
    StubPage page_;
};

TEST_F(StubTest, a_rewritten_call_gives_what_the_kernel_gives) {
    code_.put(0, {0xb8, SYS_getpid, 0, 0, 0, 0x0f, 0x05, 0xc3});  // mov $39, %eax; syscall; ret
    const uint64_t stub = page_.add(StubKind::kKnown, code_.address(7));
    ASSERT_NE(stub, 0u);
    divert(code_, 5, 16, stub);
    run_from_here();
    EXPECT_EQ(code_.call(0), getpid());
    EXPECT_EQ(arrived_calls.count, 1u);
    EXPECT_EQ(arrived_calls.last.rax, uint64_t{SYS_getpid});
    EXPECT_EQ(arrived_calls.last.rip, code_.address(7)) << "behind the instruction, as the kernel would say";
}

TEST_F(StubTest, arguments_arrive_and_the_red_zone_stays) {
    code_.put(0, {0x48, 0x89,
                  0x7c, 0x24,
                  0xf8,  // mov %rdi, -8(%rsp)
                  0x48, 0x89,
                  0x54, 0x24,
                  0x80,  // mov %rdx, -128(%rsp)
                  0xb8, SYS_getpriority,
                  0,    0,
                  0,           // any call that leaves its arguments alone
                  0x0f, 0x05,  // syscall
                  0x48, 0x8b,
                  0x44, 0x24,
                  0xf8,  // mov -8(%rsp), %rax
                  0x48, 0x03,
                  0x44, 0x24,
                  0x80,  // add -128(%rsp), %rax
                  0xc3});
    divert(code_, 15, 48, page_.add(StubKind::kKnown, code_.address(17)));
    run_from_here();
    EXPECT_EQ(code_.call(0, 0x1111, 0x2222, 0x3333), 0x1111 + 0x3333);
    EXPECT_EQ(arrived_calls.last.rdi, 0x1111u);
    EXPECT_EQ(arrived_calls.last.rsi, 0x2222u);
    EXPECT_EQ(arrived_calls.last.rdx, 0x3333u);
}

// Every register but rax, rcx and r11, which the instruction itself changes, is as before.
TEST_F(StubTest, registers_stay) {
    code_.put(0, {0xb8, SYS_getppid, 0, 0, 0, 0x0f, 0x05, 0xc3});
    divert(code_, 5, 16, page_.add(StubKind::kKnown, code_.address(7)));
    run_from_here();
    uint64_t before[12], after[12];
    for (uint64_t i = 0; i < 12; ++i) before[i] = 0x1000 + i;
    asm volatile(
        "push %%rbx; push %%rbp; push %%r12; push %%r13; push %%r14; push %%r15\n"
        "push %[after]; push %[code]\n"
        "mov %[before], %%rax\n"
        "mov (%%rax), %%rdi; mov 8(%%rax), %%rsi; mov 16(%%rax), %%rdx; mov 24(%%rax), %%r8\n"
        "mov 32(%%rax), %%r9; mov 40(%%rax), %%r10; mov 48(%%rax), %%rbx; mov 56(%%rax), %%rbp\n"
        "mov 64(%%rax), %%r12; mov 72(%%rax), %%r13; mov 80(%%rax), %%r14; mov 88(%%rax), %%r15\n"
        "pop %%rax; call *%%rax; pop %%rax\n"
        "mov %%rdi, (%%rax); mov %%rsi, 8(%%rax); mov %%rdx, 16(%%rax); mov %%r8, 24(%%rax)\n"
        "mov %%r9, 32(%%rax); mov %%r10, 40(%%rax); mov %%rbx, 48(%%rax); mov %%rbp, 56(%%rax)\n"
        "mov %%r12, 64(%%rax); mov %%r13, 72(%%rax); mov %%r14, 80(%%rax); mov %%r15, 88(%%rax)\n"
        "pop %%r15; pop %%r14; pop %%r13; pop %%r12; pop %%rbp; pop %%rbx\n"
        :
        : [before] "r"(before), [after] "r"(after), [code] "r"(code_.address(0))
        : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
    for (uint64_t i = 0; i < 12; ++i) EXPECT_EQ(after[i], before[i]) << i;
    EXPECT_EQ(arrived_calls.count, 1u);
}

// libc's syscall(): what changes no mapping goes straight to the kernel.
TEST_F(StubTest, a_generic_stub_tells_numbers_apart) {
    code_.put(0,
              {0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x0f, 0x05, 0xc3});  // number in edi, then two
    divert(code_, 8, 32, page_.add(StubKind::kGeneric, code_.address(10)));
    run_from_here();
    EXPECT_EQ(code_.call(0, SYS_getpid), getpid());
    EXPECT_EQ(arrived_calls.count, 0u);
    EXPECT_EQ(code_.call(0, SYS_munmap, 1, 1), -EINVAL);
    EXPECT_EQ(arrived_calls.count, 1u);
    EXPECT_EQ(arrived_calls.last.rax, uint64_t{SYS_munmap});
    for (uint32_t number = 441; number < 460; ++number)
        EXPECT_EQ(operation_of(number), wire::Operation::kNone);
    EXPECT_EQ(code_.call(0, 100'000), -ENOSYS);
    EXPECT_EQ(code_.call(0, -1), -ENOSYS);
    EXPECT_EQ(arrived_calls.count, 1u);
    uint64_t interesting = 1;
    // Numbers whose calls do no harm with these arguments.
    for (const long number : {SYS_mprotect, SYS_mremap, SYS_shmdt, SYS_madvise, SYS_pkey_mprotect}) {
        const long result = code_.call(0, number, 1, 1);
        EXPECT_LT(result, 0) << number;
        EXPECT_EQ(arrived_calls.count, ++interesting) << number;
    }
}

TEST_F(StubTest, a_shared_stub_sends_each_number_home) {
    code_.put(0, {0xb8, SYS_getpid, 0, 0, 0, 0x0f, 0x05, 0xc3});
    code_.put(16, {0xb8, SYS_getuid, 0, 0, 0, 0x0f, 0x05, 0x48, 0xff, 0xc0, 0xc3});  // … inc %rax
    const uint64_t first = page_.add(StubKind::kKnown, code_.address(7));
    const uint64_t both = page_.add_shared(StubKind::kKnown, SYS_getuid, code_.address(23), first);
    ASSERT_NE(both, 0u);
    divert(code_, 5, 48, both);
    divert(code_, 21, 48, both);
    run_from_here();
    EXPECT_EQ(code_.call(0), getpid());
    EXPECT_EQ(arrived_calls.last.rip, code_.address(7));
    EXPECT_EQ(code_.call(16), static_cast<long>(getuid()) + 1);
    EXPECT_EQ(arrived_calls.last.rip, code_.address(23));
    EXPECT_EQ(arrived_calls.count, 2u);
}

// This thread's stack lies far above a goroutine's: the call arrives.
TEST_F(StubTest, a_go_stub_lets_thread_stacks_arrive) {
    code_.put(0, {0xb8, SYS_getpid, 0, 0, 0, 0x0f, 0x05, 0xc3});
    divert(code_, 5, 16, page_.add(StubKind::kGo, code_.address(7)));
    run_from_here();
    EXPECT_EQ(code_.call(0), getpid());
    EXPECT_EQ(arrived_calls.count, 1u);
}

TEST_F(StubTest, a_go_stub_passes_by_on_a_goroutine_s_stack) {
    code_.put(0, {0xb8, SYS_getpid, 0, 0, 0, 0x0f, 0x05, 0xc3});
    divert(code_, 5, 16, page_.add(StubKind::kGo, code_.address(7)));
    run_from_here();
    void* low = mmap(reinterpret_cast<void*>(0xc0'0000'0000), 8192, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (reinterpret_cast<uint64_t>(low) >= 1ULL << 40) GTEST_SKIP() << "needs room where Go keeps its heap";
    long result;
    asm volatile("mov %%rsp, %%rbx; mov %[stack], %%rsp; call *%[code]; mov %%rbx, %%rsp"
                 : "=a"(result)
                 : [stack] "r"(static_cast<uint8_t*>(low) + 8192), [code] "r"(code_.address(0))
                 : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
    munmap(low, 8192);
    EXPECT_EQ(result, getpid());
    EXPECT_EQ(arrived_calls.count, 0u);
}

TEST_F(StubTest, a_page_has_an_end) {
    uint64_t last = 0;
    uint32_t count = 0;
    for (uint64_t stub; (stub = page_.add(StubKind::kGeneric, code_.address(0))) != 0; ++count) {
        ASSERT_GT(stub, last);
        ASSERT_LE(stub + 48, page_.address() + 4096);
        last = stub;
    }
    EXPECT_GE(count, 64u) << "as many as a module may have sites";
    EXPECT_EQ(page_.add_shared(StubKind::kKnown, 9, code_.address(0), last), 0u);
}

TEST_F(StubTest, a_page_lies_within_reach) {
    const auto distance = static_cast<int64_t>(page_.address() - code_.address(0));
    EXPECT_LT(std::abs(distance), 1LL << 31);
}

}  // namespace
}  // namespace offheap::hook
