// heap_shapes ALLOCATIONS: allocates on stacks of every shape that programs make, mixed at random from fixed
// seeds: alloca, over-aligned frames, exceptions, longjmp, coroutines, signal handlers on the thread's stack
// and on alternate ones, callbacks from libc, code without unwind information, threads. Prints how often it
// has used each.
#include <alloca.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <random>
#include <thread>

namespace {

#define NOINLINE __attribute__((noinline))
// Keeps a call from becoming a jump and its frame from being left out.
#define AFTER_CALL() __asm__ volatile("" ::: "memory")

enum Shape {
    kPlain,
    kAlloca,
    kAligned,
    kException,
    kSort,
    kSignal,
    kAlternateStack,
    kLongjmp,
    kCoroutine,
    kGenerated,
    kSharedLeaf,
    kDrifting,
    kShapes
};
const char* const kNames[kShapes] = {"plain",     "alloca",         "aligned",         "exception",
                                     "sort",      "signal",         "alternate stack", "longjmp",
                                     "coroutine", "generated code", "shared leaf",     "drifting frame"};

class Coroutine;

// One for each thread.
struct Mixture {
    std::mt19937 random;
    long allocations_left = 0;
    int frames_left = 0;
    long uses[kShapes] = {};
    jmp_buf* target = nullptr;
    Coroutine* running = nullptr;
    bool in_callback = false;
};
thread_local Mixture mixture;

void descend();

NOINLINE void allocate(size_t bytes) {
    --mixture.allocations_left;
    void* volatile block = malloc(bytes);
    free(block);
}

// Called from the same place on behalf of many.
NOINLINE void allocate_some() {
    allocate(mixture.random() % 200 + 1);
    AFTER_CALL();
}

NOINLINE void with_plain() {
    descend();
    AFTER_CALL();
}

NOINLINE void with_alloca(size_t bytes) {
    auto* block = static_cast<volatile char*>(alloca(bytes));
    block[0] = 1;
    descend();
    AFTER_CALL();
}

struct alignas(64) Aligned {
    volatile char bytes[64];
};
// An over-aligned local beside alloca makes gcc keep the frame's address in a slot (DRAP).
NOINLINE void with_aligned(size_t bytes) {
    Aligned local;
    local.bytes[0] = 1;
    auto* block = static_cast<volatile char*>(alloca(bytes));
    block[0] = local.bytes[0];
    descend();
    AFTER_CALL();
}

struct AllocatesWhenDestroyed {
    ~AllocatesWhenDestroyed() { allocate_some(); }
};
NOINLINE void throw_through(int depth) {
    AllocatesWhenDestroyed object;
    if (depth == 0) throw depth;
    throw_through(depth - 1);
    AFTER_CALL();
}
NOINLINE void with_exception() {
    try {
        throw_through(static_cast<int>(mixture.random() % 5));
    } catch (int) {
        descend();
    }
    AFTER_CALL();
}

// libc's own frames lie between; only the first call of each goes deeper.
void descend_once() {
    allocate_some();
    if (!mixture.in_callback) return;
    mixture.in_callback = false;
    descend();
}
NOINLINE void with_sort() {
    int numbers[] = {3, 1, 2};
    mixture.in_callback = true;
    qsort(numbers, 3, sizeof(int), [](const void* left, const void* right) {
        descend_once();
        return *static_cast<const int*>(left) - *static_cast<const int*>(right);
    });
    AFTER_CALL();
}

void on_signal(int) {
    descend_once();
    AFTER_CALL();
}
NOINLINE void with_signal(int number) {
    mixture.in_callback = true;
    raise(number);
    AFTER_CALL();
}

NOINLINE void jump_from(int depth) {
    allocate_some();
    if (depth > 0) jump_from(depth - 1);
    if (depth == 0) longjmp(*mixture.target, 1);
    AFTER_CALL();
}
NOINLINE void with_longjmp() {
    jmp_buf target;
    jmp_buf* outer = mixture.target;
    mixture.target = &target;
    if (setjmp(target) == 0) jump_from(static_cast<int>(mixture.random() % 9));
    mixture.target = outer;
    descend();
    AFTER_CALL();
}

class Coroutine {
  public:
    explicit Coroutine(void (*body)()) {
        stack_ = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        getcontext(&own_);
        own_.uc_stack.ss_sp = stack_;
        own_.uc_stack.ss_size = kBytes;
        own_.uc_link = &caller_;
        makecontext(&own_, body, 0);
    }
    ~Coroutine() { munmap(stack_, kBytes); }
    void resume() {
        Coroutine* outer = mixture.running;
        mixture.running = this;
        swapcontext(&caller_, &own_);
        mixture.running = outer;
    }
    void yield() { swapcontext(&own_, &caller_); }

  private:
    static constexpr size_t kBytes = 64 << 10;
    void* stack_;
    ucontext_t own_{};
    ucontext_t caller_{};
};
NOINLINE void allocate_and_yield(int depth) {
    allocate_some();
    if (depth == 0) {
        mixture.running->yield();
        allocate_some();
    } else {
        allocate_and_yield(depth - 1);
    }
    AFTER_CALL();
}
void coroutine_body() { allocate_and_yield(static_cast<int>(mixture.random() % 12)); }
// The thread's own stack goes on growing while the coroutine's keeps what it holds.
NOINLINE void with_coroutine() {
    Coroutine coroutine(coroutine_body);
    coroutine.resume();
    descend();
    coroutine.resume();
    AFTER_CALL();
}

// As a compiler at run time makes it: a frame pointer, and nothing that a table tells. Its argument is what
// to call.
using Generated = void (*)(void (*)());
Generated generate() {
    // push %rbp; mov %rsp,%rbp; sub $32,%rsp; call *%rdi; leave; ret
    const unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x20, 0xff, 0xd7, 0xc9, 0xc3};
    void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(page, code, sizeof code);
    mprotect(page, 4096, PROT_READ | PROT_EXEC);
    return reinterpret_cast<Generated>(page);
}
Generated generated;
NOINLINE void with_generated() {
    generated(with_plain);
    AFTER_CALL();
}

// One leaf, one stack pointer, other callers: what a capture that trusts its last one gets wrong.
NOINLINE void shared_middle() {
    allocate_some();
    AFTER_CALL();
}
NOINLINE void caller_a() {
    shared_middle();
    AFTER_CALL();
}
NOINLINE void caller_b() {
    shared_middle();
    AFTER_CALL();
}
NOINLINE void with_frame_pointer(size_t bytes, void (*callee)()) {
    auto* block = static_cast<volatile char*>(alloca(bytes));
    block[0] = 1;
    callee();
    AFTER_CALL();
}
NOINLINE void with_shared_leaf() {
    caller_a();
    caller_b();
    for (size_t bytes = 16; bytes < 64; bytes += 16) {
        with_frame_pointer(bytes, mixture.random() % 2 == 0 ? caller_a : caller_b);
    }
    descend();
    AFTER_CALL();
}

// The leaf's frame stays in its place, and what the last capture read as return addresses may lie there
// still, in blocks of alloca. Only the frame pointer, in its register or saved by the leaf, tells that the
// frames above have moved.
NOINLINE void drifting_leaf(bool by_another_way) {
    if (by_another_way) {
        allocate(8);
    } else {
        allocate_some();
    }
    __asm__ volatile("xor %%ebp, %%ebp" : : : "rbp", "memory");
}
NOINLINE void drifting_inner(size_t bytes, bool by_another_way) {
    auto* block = static_cast<volatile char*>(alloca(bytes));
    block[0] = 1;
    drifting_leaf(by_another_way);
    AFTER_CALL();
}
constexpr size_t kDriftBytes = 18 * 16;
NOINLINE void drifting_caller_a(size_t bytes, bool by_another_way) {
    auto* block = static_cast<volatile char*>(alloca(bytes));
    block[0] = 1;
    drifting_inner(kDriftBytes - bytes, by_another_way);
    AFTER_CALL();
}
NOINLINE void drifting_caller_b(size_t bytes, bool by_another_way) {
    auto* block = static_cast<volatile char*>(alloca(bytes));
    block[0] = 2;
    drifting_inner(kDriftBytes - bytes, by_another_way);
    AFTER_CALL();
}
NOINLINE void with_drifting_frame() {
    for (int i = 0; i < 4; ++i) {
        void (*volatile caller)(size_t, bool) =
            mixture.random() % 2 == 0 ? drifting_caller_a : drifting_caller_b;
        caller((mixture.random() % 16 + 1) * 16, mixture.random() % 2 == 0);
    }
    descend();
    AFTER_CALL();
}

void descend_by(int shape) {
    const size_t bytes = mixture.random() % 300 + 1;
    ++mixture.uses[shape];
    switch (shape) {
        case kAlloca:
            return with_alloca(bytes);
        case kAligned:
            return with_aligned(bytes);
        case kException:
            return with_exception();
        case kSort:
            return with_sort();
        case kSignal:
            return with_signal(SIGUSR1);
        case kAlternateStack:
            return with_signal(SIGUSR2);
        case kLongjmp:
            return with_longjmp();
        case kCoroutine:
            return with_coroutine();
        case kGenerated:
            return with_generated();
        case kSharedLeaf:
            return with_shared_leaf();
        case kDrifting:
            return with_drifting_frame();
        default:
            return with_plain();
    }
}

NOINLINE void descend() {
    allocate_some();
    if (mixture.frames_left-- <= 0) return;
    // Twice at times: the second descent finds what the first has left below.
    for (unsigned times = mixture.random() % 8 == 0 ? 2 : 1; times > 0; --times) {
        descend_by(static_cast<int>(mixture.random() % (kShapes + 4)) % kShapes);
        allocate_some();
    }
    allocate_some();
}

void run(unsigned seed, long allocations) {
    static thread_local char alternate[256 << 10];
    const stack_t stack{alternate, 0, sizeof alternate};
    sigaltstack(&stack, nullptr);
    mixture.random.seed(seed);
    mixture.allocations_left = allocations;
    for (int round = 0; mixture.allocations_left > 0; ++round) {
        mixture.frames_left = round % 60 + 3;
        descend();
    }
    const stack_t none{nullptr, SS_DISABLE, 0};
    sigaltstack(&none, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
    const long allocations = argc > 1 ? atol(argv[1]) : 100'000;
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_NODEFER;
    sigaction(SIGUSR1, &action, nullptr);
    action.sa_flags = SA_NODEFER | SA_ONSTACK;
    sigaction(SIGUSR2, &action, nullptr);
    generated = generate();

    std::thread other([=] { run(2, allocations / 2); });
    run(1, allocations / 2);
    other.join();
    for (int shape = 0; shape < kShapes; ++shape)
        printf("%s: %s\n", kNames[shape], mixture.uses[shape] > 0 ? "yes" : "no");
    return 0;
}
