#include "preload/hook/thread_state.h"

#include <pthread.h>
#include <sys/mman.h>

#include "preload/hook/python_stack.h"
#include "preload/runtime/raw_syscall.h"
#include "preload/unwind/keep_vectors.h"

namespace offheap::hook {

using namespace offheap::runtime;

namespace {

constexpr uint32_t kSlabStates = 64;
constexpr uint32_t kMaxSlabs = 1024;
constexpr uint32_t kMaxFrames = 1u << 20;
constexpr pthread_key_t kFirstBlockKeys =
    32;  // glibc keeps these inside the thread: setting them allocates nothing

// Other libraries' destructors allocate and free too. Ours, asked for again, runs in all four rounds that
// there are (PTHREAD_DESTRUCTOR_ITERATIONS) and gives the state back in the last.
#if defined(__SANITIZE_THREAD__)
constexpr uint32_t kRoundsWaited =
    0;  // the sanitizer takes the last round for itself, and all it knows of the thread
#else
constexpr uint32_t kRoundsWaited = 3;
#endif

pthread_key_t key;
bool key_usable;

ThreadState* slabs[kMaxSlabs];
uint32_t slab_count;
// Free states, a stack of (count << 32 | index + 1): the count makes a reused index differ from its former
// self (ABA).
uint64_t free_head;

// Its slab is there: the index came by [state]. Others may be trying the slot at this moment, and fail.
ThreadState* state_at(uint32_t index) {
    return &__atomic_load_n(&slabs[index / kSlabStates], __ATOMIC_RELAXED)[index % kSlabStates];
}

void give_back(ThreadState* state) {
    uint64_t head = __atomic_load_n(&free_head, __ATOMIC_RELAXED);
    uint64_t next;
    do {
        __atomic_store_n(&state->next_free, static_cast<uint32_t>(head), __ATOMIC_RELAXED);
        next = ((head >> 32) + 1) << 32 | (state->index + 1);
        // [state] partner: take_free's acquire exchange sees `next_free`.
    } while (!__atomic_compare_exchange_n(&free_head, &head, next, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

ThreadState* take_free() {
    uint64_t head = __atomic_load_n(&free_head, __ATOMIC_ACQUIRE);
    while (static_cast<uint32_t>(head) != 0) {
        ThreadState* state = state_at(static_cast<uint32_t>(head) - 1);
        const uint64_t next = ((head >> 32) + 1) << 32 | __atomic_load_n(&state->next_free, __ATOMIC_RELAXED);
        if (__atomic_compare_exchange_n(&free_head, &head, next, true, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))
            return state;
    }
    return nullptr;
}

// Maps a slab, keeps its first state and gives the others to whoever comes; nullptr when there is no memory.
ThreadState* add_slab(OwnMapping* fresh) {
    // Only where to begin: threads that add at once may leave it behind.
    uint32_t slab = __atomic_load_n(&slab_count, __ATOMIC_RELAXED);
    if (slab >= kMaxSlabs) return nullptr;
    constexpr uint64_t bytes = kSlabStates * sizeof(ThreadState);
    const long address =
        raw_syscall(kSysMmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (is_error(address)) return nullptr;
    auto* states = reinterpret_cast<ThreadState*>(address);
    // A slab that another thread has put there meanwhile stays. Ours goes behind it: unmapped again, it would
    // be a call of the process that nobody is told of.
    ThreadState* empty = nullptr;
    while (!__atomic_compare_exchange_n(&slabs[slab], &empty, states, false, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED)) {
        empty = nullptr;
        if (++slab < kMaxSlabs) continue;
        raw_syscall(kSysMunmap, address, bytes);
        return nullptr;
    }
    __atomic_store_n(&slab_count, slab + 1, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < kSlabStates; ++i) states[i].index = slab * kSlabStates + i;
    for (uint32_t i = 1; i < kSlabStates; ++i) give_back(&states[i]);
    *fresh = {static_cast<uint64_t>(address), bytes};
    return states;
}

void on_thread_end(void* value) {
    auto* state = static_cast<ThreadState*>(value);
    if (state->endings++ < kRoundsWaited && pthread_setspecific(key, state) == 0) return;
    if (thread_end_listener != nullptr) thread_end_listener(state);
    current_state = kEndingThread;
    state->heap = {};
    state->under_way = 0;
    state->unfinished = 0;
    state->capturing = 0;
    give_back(state);
}

long set_key(const void*, const void* state) { return pthread_setspecific(key, state); }

ThreadState* acquire(OwnMapping* fresh) {
    ThreadState* state = take_free();
    if (state == nullptr) state = add_slab(fresh);
    if (state == nullptr) return nullptr;
    state->heap = {};
    state->heap_control = 0;
    state->heap_stack_pointer = 0;
    state->endings = 0;
    state->walks = 0;
    state->thread_id = 0;
    state->process_id = 0;
    state->under_way = 0;
    state->unfinished = 0;
    state->capturing = 0;
    state->window = {};
    if (state->stack.capacity() == 0) state->stack.place(state->inline_stack, kInlineFrames);
    forget_stacks(state);
    current_state = state;
    if (key_usable) {
        offheap_keep_vectors(set_key, nullptr, state);
    }
    return state;
}

}  // namespace

__thread ThreadState* current_state;
void (*thread_end_listener)(ThreadState* state);

void start_thread_states() {
    key_usable = pthread_key_create(&key, on_thread_end) == 0 && key < kFirstBlockKeys;
}

ThreadState* thread_state(OwnMapping* fresh) {
    ThreadState* state = current_state;
    if (__builtin_expect(state > kEndingThread, 1)) return state;
    return state == kEndingThread ? nullptr : acquire(fresh);
}

bool grow_stack(ThreadState* state, OwnMapping* fresh) {
    if (state->stack.capacity() >= kMaxFrames) return false;
    const uint32_t wanted = state->stack.capacity() * 8;
    const uint32_t capacity = wanted < kMaxFrames ? wanted : kMaxFrames;
    const uint64_t bytes = (unwind::RememberedStack::bytes_for(capacity) + 4095) & ~uint64_t{4095};
    const long address = raw_syscall(kSysMmap, 0, static_cast<long>(bytes), PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (is_error(address)) return false;
    // The smaller memory stays mapped: a signal handler may have interrupted a capture that still writes to
    // it.
    state->stack.place(reinterpret_cast<void*>(address), capacity);
    *fresh = {static_cast<uint64_t>(address), bytes};
    return true;
}

bool add_recurring(ThreadState* state, OwnMapping* fresh) {
    struct Room {
        unwind::RecurringStacks recurring;
        record::RecentChildren recent_children;
    };
    constexpr uint64_t kBytes = (sizeof(Room) + 4095) & ~uint64_t{4095};
    const long address =
        raw_syscall(kSysMmap, 0, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (is_error(address)) return false;
    auto* const room = reinterpret_cast<Room*>(address);
    state->recent_children = &room->recent_children;
    state->recurring = &room->recurring;
    *fresh = {static_cast<uint64_t>(address), kBytes};
    return true;
}

void forget_stacks(ThreadState* state) {
    state->last = &state->stack;
    if (state->recurring != nullptr) state->recurring->forget();
    if (state->python != nullptr) state->python->forget();
    state->stack.forget();
}

}  // namespace offheap::hook
