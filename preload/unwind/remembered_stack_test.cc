// Incremental captures of stacks made by hand, compared with whole walks after every change.
#include "preload/unwind/remembered_stack.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "preload/unwind/recurring_stacks.h"
#include "preload/unwind/rule_compiler.h"

namespace offheap::unwind {
namespace {

// Functions that are never run: only their unwind tables count. Each has room for return addresses inside.
extern "C" const char offheap_test_plain[], offheap_test_saving[], offheap_test_based[],
    offheap_test_realigned[], offheap_test_root[], offheap_test_from_rbx[], offheap_test_sigreturn[];
__asm__(R"(
    .text
    .macro offheap_function name
    nop
    .type \name, @function
\name:
    .cfi_startproc
    .endm
    .macro offheap_function_end
    .fill 32, 1, 0x90
    .cfi_endproc
    .endm

    offheap_function offheap_test_plain
    .cfi_def_cfa rsp, 16
    offheap_function_end

    offheap_function offheap_test_saving
    .cfi_def_cfa rsp, 32
    .cfi_offset rbp, -16
    offheap_function_end

    offheap_function offheap_test_based
    .cfi_def_cfa rbp, 16
    .cfi_offset rbp, -16
    offheap_function_end

    # What gcc writes for a function that aligns its stack: CFA = *(rbp - 8), rbp at rbp + 0.
    offheap_function offheap_test_realigned
    .cfi_escape 0x0f, 0x03, 0x76, 0x78, 0x06
    .cfi_escape 0x10, 0x06, 0x02, 0x76, 0x00
    offheap_function_end

    offheap_function offheap_test_root
    .cfi_undefined rip
    offheap_function_end

    offheap_function offheap_test_from_rbx
    .cfi_def_cfa rbx, 16
    offheap_function_end

    nop
offheap_test_sigreturn:
    mov $15, %rax
    syscall
)");

enum Kind { kPlain, kSaving, kBased, kRealigned, kCompiled, kKinds };
constexpr uint64_t kJit = 0x7000'0000'1000;  // nothing is loaded there

uint64_t inside(const char* function, uint64_t offset) {
    return reinterpret_cast<uint64_t>(function) + 1 + offset % 30;
}

uint64_t return_address(Kind kind, uint64_t variant) {
    switch (kind) {
        case kPlain:
            return inside(offheap_test_plain, variant);
        case kSaving:
            return inside(offheap_test_saving, variant);
        case kBased:
            return inside(offheap_test_based, variant);
        case kRealigned:
            return inside(offheap_test_realigned, variant);
        default:
            return kJit + 1 + variant % 30;
    }
}

struct Frame {
    Kind kind;
    uint64_t address;
    uint64_t rsp;
    uint64_t rbp;
};

// A stack between two pages that cannot be read, and the registers of its leaf.
class MadeStack {
  public:
    static constexpr uint64_t kBytes = 64 << 10;
    static constexpr uint64_t kPage = 4096;

    MadeStack() {
        auto* region = static_cast<char*>(
            mmap(nullptr, kBytes + 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        mprotect(region, kPage, PROT_NONE);
        mprotect(region + kPage + kBytes, kPage, PROT_NONE);
        low_ = reinterpret_cast<uint64_t>(region) + kPage;
        start(inside(offheap_test_root, 0));
    }
    ~MadeStack() { munmap(reinterpret_cast<void*>(low_ - kPage), kBytes + 2 * kPage); }
    MadeStack(const MadeStack&) = delete;
    MadeStack& operator=(const MadeStack&) = delete;

    void start(uint64_t root) {
        frames = {{kPlain, root, low_ + kBytes - 256, 0}};
        word(low_ + kBytes - 8) = 0;
    }

    // Calls a function from the leaf; its own words take `pad` more.
    void push(Kind kind, uint64_t variant, uint64_t pad) {
        const Frame caller = frames.back();
        const uint64_t cfa = caller.rsp;
        word(cfa - 8) = caller.address;
        Frame frame{kind, return_address(kind, variant), cfa - 16, caller.rbp};
        switch (kind) {
            case kPlain:
                break;
            case kSaving:
                frame.rsp = cfa - 32;
                word(cfa - 16) = caller.rbp;
                frame.rbp = variant * 8;
                break;
            case kBased:
            case kCompiled:
                frame.rbp = cfa - 16;
                word(frame.rbp) = caller.rbp;
                frame.rsp = frame.rbp - 8 * pad;
                break;
            default:
                frame.rbp = cfa - 16 - 8 * pad;
                word(frame.rbp) = caller.rbp;
                word(frame.rbp - 8) = cfa;
                frame.rsp = frame.rbp - 16;
        }
        frames.push_back(frame);
    }

    // A handler that a signal started on this stack, its registers saved in between.
    void push_signal(uint64_t variant) {
        const Frame interrupted = frames.back();
        const uint64_t ucontext = interrupted.rsp - 1024;
        word(ucontext + ucontext_offset_bytes(kDwarfRip)) = interrupted.address;
        word(ucontext + ucontext_offset_bytes(kDwarfRsp)) = interrupted.rsp;
        word(ucontext + ucontext_offset_bytes(kDwarfRbp)) = interrupted.rbp;
        frames.push_back({kPlain, reinterpret_cast<uint64_t>(offheap_test_sigreturn), ucontext, variant});
        push(kPlain, variant, 0);
    }

    Registers registers() const {
        const Frame& leaf = frames.back();
        return {leaf.address, leaf.rsp, leaf.rbp, leaf.rsp + 64, 0, 0, 0, 0};
    }
    bool has_room() const { return frames.back().rsp > low_ + 8 * kPage; }
    void take_away_the_root(bool is_away) const {
        mprotect(reinterpret_cast<void*>(low_ + kBytes - kPage), kPage,
                 is_away ? PROT_NONE : PROT_READ | PROT_WRITE);
    }
    uint64_t used_bytes() const { return low_ + kBytes - frames.back().rsp; }
    static uint64_t& word(uint64_t address) { return *reinterpret_cast<uint64_t*>(address); }

    std::vector<Frame> frames;  // root first

  private:
    uint64_t low_;
};

constexpr uint32_t kCapacity = 4096;

// Captures that look among recurring stacks first, with labels as the hooks have them: each is made of the
// frame and its callers'.
class Recurring {
  public:
    explicit Recurring(uint32_t capacity) : memory_(RememberedStack::bytes_for(capacity)) {
        stack_.place(memory_.data(), capacity);
    }

    // Whether the frames are those of a whole walk, leaf first, and the labels theirs.
    testing::AssertionResult equal(const Registers& registers, StackWindow& window, const uint64_t* whole,
                                   uint32_t count) {
        const CaptureStart start{exact_frame(registers.rip), registers.rsp, registers.rbp,
                                 count > 1 ? whole[1] : 1};
        const RememberedStack* const known = recurring_->find(start, window);
        if (known != nullptr) {
            ++found;
            last_ = known;
        } else {
            capture(start, registers, window);
        }
        const RememberedStack& stack = *last_;
        if (stack.count() != count)
            return testing::AssertionFailure() << "recurring: " << stack.count() << " frames";
        for (uint32_t i = 0; i < count; ++i) {
            if (stack.frames()[i].frame != whole[count - 1 - i] || stack.frames()[i].label != label(i)) {
                return testing::AssertionFailure()
                       << "recurring: frame " << i << " from the root of " << count;
            }
        }
        if (stack.label() != label(count - 1)) return testing::AssertionFailure() << "no label";
        return testing::AssertionSuccess();
    }

    uint64_t found = 0;

  private:
    void capture(const CaptureStart& start, const Registers& registers, StackWindow& window) {
        stack_.capture_after(*last_, registers, window);
        last_ = &stack_;
        for (uint32_t i = stack_.labelled(); i < stack_.count(); ++i)
            stack_.labels()[RememberedStack::kLabelStride * i] = label(i);
        stack_.set_labelled(stack_.count());
        const RememberedStack* const kept = recurring_->keep(start, stack_);
        if (kept != nullptr) last_ = kept;
    }

    uint32_t label(uint64_t index) const {
        const uint64_t callers = index == 0 ? 0 : last_->frames()[index - 1].label;
        return static_cast<uint32_t>((last_->frames()[index].frame + callers * 31) * 0x9e3779b97f4a7c15 >>
                                     32);
    }

    std::vector<char> memory_;
    std::unique_ptr<RecurringStacks> recurring_ = std::make_unique<RecurringStacks>();
    RememberedStack stack_{};
    const RememberedStack* last_ = &stack_;
};

// Captures in all ways, each with a memory of its own.
class Compared {
  public:
    explicit Compared(uint32_t capacity = 512)
        : recurring(capacity), memory_(RememberedStack::bytes_for(capacity)) {
        remembered.place(memory_.data(), capacity);
    }

    testing::AssertionResult equal(const Registers& registers) {
        const Capture whole = capture(registers, whole_window_, whole_, remembered.capacity());
        remembered.capture(registers, window_);
        if (remembered.stop() != whole.stop || remembered.count() != whole.count) {
            return testing::AssertionFailure()
                   << remembered.count() << " frames, stop " << static_cast<int>(remembered.stop())
                   << "; whole " << whole.count << ", stop " << static_cast<int>(whole.stop);
        }
        for (uint32_t i = 0; i < whole.count; ++i) {
            if (remembered.frames()[i].frame != whole_[whole.count - 1 - i]) {
                return testing::AssertionFailure() << "frame " << i << " from the root of " << whole.count;
            }
        }
        for (uint32_t i = 0; i < remembered.unchanged(); ++i) {
            if (i >= last_.size() || remembered.frames()[i].frame != last_[i]) {
                return testing::AssertionFailure() << "frame " << i << " is not unchanged";
            }
        }
        if (whole.stop != Stop::capacity) {
            const auto equals = recurring.equal(registers, recurring_window_, whole_, whole.count);
            if (!equals) return equals;
        }
        last_.clear();
        for (uint32_t i = 0; i < remembered.count(); ++i) last_.push_back(remembered.frames()[i].frame);
        return testing::AssertionSuccess();
    }

    // As the hooks do when the thread takes memory away that its stack may lie in.
    void forget_windows() { window_ = whole_window_ = recurring_window_ = {}; }

    RememberedStack remembered{};
    Recurring recurring;

  private:
    std::vector<char> memory_;
    StackWindow window_{};
    StackWindow whole_window_{};
    StackWindow recurring_window_{};
    uint64_t whole_[kCapacity] = {};
    std::vector<uint64_t> last_;
};

TEST(RememberedStack, proves_an_unchanged_stack_without_walking) {
    MadeStack stack;
    for (uint64_t i = 0; i < 40; ++i) stack.push(static_cast<Kind>(i % kKinds), i, i % 3);
    Compared compared;
    EXPECT_TRUE(compared.equal(stack.registers()));
    EXPECT_EQ(compared.remembered.unchanged(), 0u);
    EXPECT_TRUE(compared.equal(stack.registers()));
    EXPECT_EQ(compared.remembered.unchanged(), 41u);
}

TEST(RememberedStack, keeps_the_callers_of_new_leaf_frames) {
    MadeStack stack;
    for (uint64_t i = 0; i < 30; ++i) stack.push(static_cast<Kind>(i % kKinds), i, 1);
    Compared compared;
    EXPECT_TRUE(compared.equal(stack.registers()));
    stack.frames.pop_back();
    stack.frames.pop_back();
    // The new leaf's caller is another return address, so it is new as well.
    stack.push(kPlain, 7, 0);
    EXPECT_TRUE(compared.equal(stack.registers()));
    EXPECT_EQ(compared.remembered.unchanged(), 29u);
}

TEST(RememberedStack, notices_a_return_address_that_changed_under_the_leaf) {
    for (uint64_t depth = 2; depth < 20; ++depth) {
        MadeStack stack;
        for (uint64_t i = 0; i < 20; ++i) stack.push(static_cast<Kind>(i % kKinds), i, 1);
        Compared compared;
        EXPECT_TRUE(compared.equal(stack.registers()));
        const Frame& frame = stack.frames[depth];
        MadeStack::word(frame.rsp - 8) = return_address(frame.kind, depth + 1);
        EXPECT_TRUE(compared.equal(stack.registers())) << depth;
        EXPECT_EQ(compared.remembered.unchanged(), depth);
    }
}

TEST(RememberedStack, notices_a_saved_frame_pointer_that_changed) {
    MadeStack stack;
    stack.push(kBased, 1, 1);
    stack.push(kBased, 2, 4);
    const uint64_t other_base = stack.frames.back().rbp - 16;
    MadeStack::word(other_base) = stack.frames[1].rbp;
    MadeStack::word(other_base + 8) = return_address(kBased, 9);
    stack.push(kSaving, 3, 0);
    Compared compared;
    EXPECT_TRUE(compared.equal(stack.registers()));
    MadeStack::word(stack.frames.back().rsp + 16) = other_base;
    EXPECT_TRUE(compared.equal(stack.registers()));
    EXPECT_EQ(compared.remembered.frames()[1].frame, return_address(kBased, 9));
}

TEST(RememberedStack, notices_a_frame_pointer_that_changed_in_its_register) {
    MadeStack stack;
    stack.push(kBased, 1, 1);
    stack.push(kBased, 2, 4);
    Registers registers = stack.registers();
    const uint64_t other_base = registers.rbp - 16;
    MadeStack::word(other_base) = stack.frames[1].rbp;
    MadeStack::word(other_base + 8) = return_address(kBased, 9);
    stack.push(kPlain, 3, 0);
    registers = stack.registers();
    Compared compared;
    EXPECT_TRUE(compared.equal(registers));
    registers.rbp = other_base;
    EXPECT_TRUE(compared.equal(registers));
    EXPECT_EQ(compared.remembered.frames()[1].frame, return_address(kBased, 9));
}

TEST(RememberedStack, does_not_mind_a_frame_pointer_that_is_dead) {
    MadeStack stack;
    stack.push(kBased, 1, 1);
    stack.push(kSaving, 2, 0);
    stack.push(kPlain, 3, 0);
    Registers registers = stack.registers();
    Compared compared;
    EXPECT_TRUE(compared.equal(registers));
    registers.rbp = 12345;
    EXPECT_TRUE(compared.equal(registers));
    EXPECT_EQ(compared.remembered.unchanged(), 4u);
}

TEST(RememberedStack, notices_what_a_guess_rests_on_beside_the_return_address) {
    MadeStack stack;
    stack.push(kSaving, 1, 0);
    stack.push(kCompiled, 1, 0);
    stack.push(kPlain, 1, 0);
    Compared compared;
    EXPECT_TRUE(compared.equal(stack.registers()));
    // rbp is dead in the caller, but a chain of frame pointers that falls may lead into tables only.
    const uint64_t saved = stack.frames[2].rbp;
    MadeStack::word(saved + 8) = kJit + 9;
    MadeStack::word(saved) = 0;
    EXPECT_TRUE(compared.equal(stack.registers()));
    MadeStack::word(saved) = 1;
    EXPECT_TRUE(compared.equal(stack.registers()));
    EXPECT_EQ(compared.remembered.stop(), Stop::no_unwind_info);
}

TEST(RememberedStack, notices_a_realigned_frame_that_moved) {
    MadeStack stack;
    for (uint64_t i = 0; i < 3; ++i) stack.push(kPlain, i, 0);
    stack.push(kRealigned, 1, 3);
    stack.push(kPlain, 2, 0);
    Compared compared;
    EXPECT_TRUE(compared.equal(stack.registers()));
    const uint64_t base = stack.frames[4].rbp;
    MadeStack::word(base - 8) += 16;  // the caller's frame is gone
    EXPECT_TRUE(compared.equal(stack.registers()));
    EXPECT_EQ(compared.remembered.count(), 5u);
}

TEST(RememberedStack, notices_that_the_end_of_the_stack_moved) {
    MadeStack stack;
    stack.start(inside(offheap_test_plain, 1));
    const uint64_t end = stack.frames[0].rsp + 8;
    MadeStack::word(end) = 0;
    stack.push(kPlain, 3, 0);
    Compared compared;
    EXPECT_TRUE(compared.equal(stack.registers()));
    EXPECT_TRUE(compared.equal(stack.registers()));
    EXPECT_EQ(compared.remembered.unchanged(), 2u);
    MadeStack::word(end) = inside(offheap_test_root, 2);
    EXPECT_TRUE(compared.equal(stack.registers()));
    EXPECT_EQ(compared.remembered.count(), 3u);
    MadeStack::word(end) = 0xdead'beef'dead'beef;
    EXPECT_TRUE(compared.equal(stack.registers()));
    EXPECT_EQ(compared.remembered.stop(), Stop::no_unwind_info);
    EXPECT_TRUE(compared.equal(stack.registers()));
    EXPECT_EQ(compared.remembered.unchanged(), 2u);
}

TEST(RememberedStack, notices_what_a_frame_pointer_at_the_end_leads_to) {
    MadeStack stack;
    stack.start(kJit);
    const uint64_t base = stack.frames[0].rsp + 32;
    MadeStack::word(base) = 0;
    MadeStack::word(base + 8) = ~uint64_t{0};
    stack.frames[0].rbp = base;
    stack.push(kSaving, 3, 0);
    Compared compared;
    for (const uint64_t caller : {~uint64_t{0}, kJit + 4, uint64_t{0}, kJit + 5}) {
        MadeStack::word(base + 8) = caller;
        EXPECT_TRUE(compared.equal(stack.registers()));
        EXPECT_TRUE(compared.equal(stack.registers()));
        EXPECT_EQ(compared.remembered.unchanged(), compared.remembered.count());
    }
    MadeStack::word(base) = 1;
    EXPECT_TRUE(compared.equal(stack.registers()));
}

TEST(RememberedStack, walks_anew_down_to_a_signal_frame) {
    MadeStack stack;
    for (uint64_t i = 0; i < 9; ++i) stack.push(kBased, i, 1);
    Compared compared;
    EXPECT_TRUE(compared.equal(stack.registers()));
    stack.push_signal(1);
    stack.push(kPlain, 2, 0);
    EXPECT_TRUE(compared.equal(stack.registers()));
    EXPECT_EQ(compared.remembered.count(), 13u);
    // The interrupted frame was a leaf before: its address is exact in both.
    EXPECT_EQ(compared.remembered.unchanged(), 10u);
    const uint64_t ucontext = stack.frames[10].rsp;
    MadeStack::word(ucontext + ucontext_offset_bytes(kDwarfRip)) = kJit;
    EXPECT_TRUE(compared.equal(stack.registers()));
    MadeStack::word(ucontext + ucontext_offset_bytes(kDwarfRbp)) = 0;
    EXPECT_TRUE(compared.equal(stack.registers()));
}

TEST(RememberedStack, does_not_reuse_a_frame_that_rests_on_another_register) {
    MadeStack stack;
    for (uint64_t i = 0; i < 4; ++i) stack.push(kPlain, i, 0);
    const uint64_t deeper = stack.frames.back().rsp;
    const uint64_t older = stack.frames[2].rsp;
    stack.push(kPlain, 5, 0);
    Registers registers = stack.registers();
    registers.rip = inside(offheap_test_from_rbx, 1);
    Compared compared;
    for (const uint64_t cfa : {deeper, older, deeper}) {
        registers.rbx = cfa - 16;
        EXPECT_TRUE(compared.equal(registers));
    }
    EXPECT_GE(compared.remembered.unchanged(), 2u) << "its callers are reused";
}

TEST(RememberedStack, forgets_when_modules_change) {
    MadeStack stack;
    for (uint64_t i = 0; i < 9; ++i) stack.push(kBased, i, 1);
    Compared compared;
    for (void (*invalidate)() : {invalidate_all, invalidate_stacks}) {
        EXPECT_TRUE(compared.equal(stack.registers()));
        EXPECT_TRUE(compared.equal(stack.registers()));
        EXPECT_EQ(compared.remembered.unchanged(), 10u);
        invalidate();
        EXPECT_TRUE(compared.equal(stack.registers()));
        EXPECT_EQ(compared.remembered.unchanged(), 0u);
    }
    compared.remembered.forget();
    EXPECT_TRUE(compared.equal(stack.registers()));
    EXPECT_EQ(compared.remembered.unchanged(), 0u);
}

TEST(RememberedStack, reads_nothing_that_is_not_known_to_be_readable) {
    for (const Kind kind : {kPlain, kSaving, kBased, kRealigned, kCompiled}) {
        MadeStack stack;
        while (stack.used_bytes() < 3 * MadeStack::kPage) stack.push(kind, 1, 3);
        Compared compared(kCapacity);
        EXPECT_TRUE(compared.equal(stack.registers()));
        EXPECT_EQ(compared.remembered.stop(), Stop::end_of_stack);
        stack.take_away_the_root(true);
        compared.forget_windows();
        EXPECT_TRUE(compared.equal(stack.registers()));
        EXPECT_NE(compared.remembered.stop(), Stop::end_of_stack);
        stack.take_away_the_root(false);
        compared.forget_windows();
        EXPECT_TRUE(compared.equal(stack.registers()));
        EXPECT_EQ(compared.remembered.stop(), Stop::end_of_stack);
    }
}

TEST(RememberedStack, fills_its_room_to_the_last_frame) {
    for (const uint32_t capacity : {1u, 2u, 7u, 8u, 9u, 16u, 17u}) {
        MadeStack stack;
        Compared compared(capacity);
        for (uint64_t i = 0; i < 20; ++i) {
            EXPECT_TRUE(compared.equal(stack.registers())) << capacity << " " << i;
            stack.push(static_cast<Kind>(i % kKinds), i, 1);
            EXPECT_TRUE(compared.equal(stack.registers())) << capacity << " " << i;
        }
        while (stack.frames.size() > 1) {
            stack.frames.pop_back();
            EXPECT_TRUE(compared.equal(stack.registers())) << capacity;
        }
    }
}

TEST(RememberedStack, bears_more_words_than_it_has_room_for) {
    for (const uint32_t capacity : {8u, 16u, 17u}) {
        MadeStack stack;
        Compared compared(capacity);
        for (uint64_t i = 1; i < capacity; ++i) stack.push(kRealigned, i, 1);
        for (int round = 0; round < 3; ++round) {
            EXPECT_TRUE(compared.equal(stack.registers())) << capacity;
            EXPECT_LT(compared.remembered.unchanged(), capacity);
            MadeStack::word(stack.frames[1].rbp - 8) -= 8;
            EXPECT_TRUE(compared.equal(stack.registers())) << capacity;
            MadeStack::word(stack.frames[1].rbp - 8) += 8;
        }
    }
}

TEST(RecurringStacks, are_not_those_with_another_frame_pointer) {
    MadeStack stack;
    stack.push(kBased, 1, 1);
    stack.push(kBased, 2, 4);
    const uint64_t base = stack.frames.back().rbp;
    // The same callers once more, from another base.
    const uint64_t other_base = base - 16;
    MadeStack::word(other_base) = MadeStack::word(base);
    MadeStack::word(other_base + 8) = MadeStack::word(base + 8);
    Compared compared;
    const auto equal_from = [&](uint64_t variant, uint64_t rbp) {
        stack.push(kPlain, variant, 0);
        Registers registers = stack.registers();
        registers.rbp = rbp;
        stack.frames.pop_back();
        // The second time it is kept.
        const auto equals = compared.equal(registers);
        return equals ? compared.equal(registers) : equals;
    };
    EXPECT_TRUE(equal_from(3, base));
    EXPECT_TRUE(equal_from(4, base));
    stack.push(kPlain, 5, 0);
    EXPECT_TRUE(equal_from(5, other_base));
    stack.frames.pop_back();
    MadeStack::word(base + 8) = return_address(kBased, 9);
    EXPECT_TRUE(equal_from(4, base));
}

TEST(RecurringStacks, are_kept_when_they_come_again) {
    MadeStack stack;
    for (uint64_t i = 0; i < 30; ++i) stack.push(static_cast<Kind>(i % kKinds), i, 1);
    Compared compared;
    for (const uint64_t found : {0, 0, 1, 2}) {
        EXPECT_TRUE(compared.equal(stack.registers()));
        EXPECT_EQ(compared.recurring.found, found);
    }
}

TEST(RecurringStacks, are_not_lost_to_those_that_never_come_again) {
    MadeStack stack;
    for (uint64_t i = 0; i < 10; ++i) stack.push(static_cast<Kind>(i % kKinds), i, 1);
    Compared compared;
    for (uint32_t time = 0; time < 3; ++time) EXPECT_TRUE(compared.equal(stack.registers()));
    EXPECT_EQ(compared.recurring.found, 1u);
    // From the same place at the same depth.
    const Frame& changing = stack.frames[4];
    uint64_t& caller = MadeStack::word(changing.rsp - 8);
    const uint64_t recurring_caller = caller;
    for (uint64_t variant = 5; variant < 30; ++variant) {
        caller = return_address(changing.kind, variant);
        EXPECT_TRUE(compared.equal(stack.registers()));
    }
    EXPECT_EQ(compared.recurring.found, 1u);
    caller = recurring_caller;
    EXPECT_TRUE(compared.equal(stack.registers()));
    EXPECT_EQ(compared.recurring.found, 2u);
}

// ---- random calls, returns and damage ----

class RandomStack : public testing::TestWithParam<uint32_t> {
  protected:
    uint64_t below(uint64_t limit) { return random_() % limit; }
    bool one_in(uint64_t times) { return below(times) == 0; }

    void call_and_return(MadeStack& stack) {
        // Few at a time near the leaf, seldom the whole stack.
        uint64_t returns = one_in(20) ? below(stack.frames.size()) : below(4);
        while (returns-- > 0 && stack.frames.size() > 1) stack.frames.pop_back();
        uint64_t calls = one_in(20) ? below(60) : below(4);
        for (; calls > 0 && stack.has_room(); --calls) {
            if (one_in(60)) {
                stack.push_signal(below(3));
            } else {
                stack.push(static_cast<Kind>(below(kKinds)), below(3), below(4));
            }
        }
    }

    uint64_t anything(const MadeStack& stack) {
        const Frame& frame = stack.frames[below(stack.frames.size())];
        switch (below(8)) {
            case 0:
                return 0;
            case 1:
                return random_();
            case 2:
                return frame.rbp;
            case 3:
                return frame.rsp + 8 * below(8);
            case 4:
                return inside(below(2) != 0 ? offheap_test_root : offheap_test_from_rbx, below(3));
            default:
                return return_address(static_cast<Kind>(below(kKinds)), below(3));
        }
    }

    std::mt19937_64 random_{GetParam()};
};

TEST_P(RandomStack, equals_the_whole_walk) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    constexpr uint32_t kRounds = 20'000;
#else
    constexpr uint32_t kRounds = 150'000;
#endif
    MadeStack stack;
    Compared compared;
    uint64_t unchanged = 0;
    uint64_t frames = 0;
    for (uint32_t round = 0; round < kRounds; ++round) {
        if (!one_in(4)) call_and_return(stack);
        Registers registers = stack.registers();
        uint64_t* damaged = nullptr;
        uint64_t undamaged = 0;
        if (one_in(3)) {
            damaged = &MadeStack::word(registers.rsp + 8 * below(stack.used_bytes() / 8));
            undamaged = *damaged;
            *damaged = anything(stack);
        }
        if (one_in(10)) registers.rbp = anything(stack);
        if (one_in(20)) registers.rbx = stack.frames[below(stack.frames.size())].rsp;
        ASSERT_TRUE(compared.equal(registers)) << "round " << round;
        unchanged += compared.remembered.unchanged();
        frames += compared.remembered.count();
        if (damaged != nullptr && one_in(2)) {
            ASSERT_TRUE(compared.equal(registers)) << "round " << round;
        }
        if (damaged != nullptr) *damaged = undamaged;
    }
    EXPECT_GT(unchanged, frames / 4) << "little was reused, so little was tested";
    EXPECT_GT(compared.recurring.found, kRounds / 20) << "few stacks were found again, so little was tested";
}
INSTANTIATE_TEST_SUITE_P(Seeds, RandomStack, testing::Range(0u, 8u));

}  // namespace
}  // namespace offheap::unwind
