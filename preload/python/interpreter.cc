#include "preload/python/interpreter.h"

#include <pthread.h>

#include "preload/python/readable_pages.h"
#include "preload/unwind/keep_vectors.h"
#include "preload/unwind/stack_memory.h"

namespace offheap::python {

using unwind::load;

namespace {

constexpr uint32_t kMostKeys = 1024;  // PTHREAD_KEYS_MAX

uint64_t this_thread() {
    uint64_t self;
    __asm__("mov %%fs:0x10, %0" : "=r"(self));
    return self;
}

long value_of_key(const void* key, const void*) {
    const auto number = static_cast<pthread_key_t>(reinterpret_cast<uint64_t>(key));
    return reinterpret_cast<long>(pthread_getspecific(number));
}

// Whether it is a state and this thread's. At shutdown those of other threads are freed under their feet.
bool is_ours(uint64_t state) {
    const uint16_t thread_id = interpreter.structures.thread_id;
    return state % 8 == 0 && readable_pages.contains(state, thread_id + 8u) &&
           load(state + thread_id) == this_thread();
}

uint32_t version_of(const Exports& exports) {
    if (exports.version != 0) return static_cast<uint32_t>(load(exports.version));
    if (exports.since_310 != 0) return 0x030a0000;
    return exports.since_39 != 0 ? 0x03090000 : 0;
}

}  // namespace

// The shim starts before its own constructors of variables would run.
constinit Interpreter interpreter;

bool adopt(const Exports& exports) {
    if (interpreter.runtime != 0) return true;
    if (!find_structures(version_of(exports), exports.runtime, &interpreter.structures)) return false;
    interpreter.code_type = exports.code_type;
    interpreter.evaluator = exports.evaluator;
    // Where calls of the evaluator are known by their code.
    if (interpreter.structures.chain == Chain::frame_objects) {
        interpreter.cold_evaluator = find_cold_part(exports.evaluator);
    }
    // Last: other threads may be capturing already.
    __atomic_store_n(&interpreter.runtime, exports.runtime, __ATOMIC_RELEASE);
    return true;
}

void forget_memory(uint64_t start, uint64_t bytes) { readable_pages.forget(start, start + bytes); }

void memory_unmapped(uint64_t start, uint64_t bytes) {
    if (interpreter.runtime - start < bytes) __atomic_store_n(&interpreter.runtime, 0, __ATOMIC_RELEASE);
}

uint64_t this_thread_state() {
    const Structures& structures = interpreter.structures;
    const uint64_t runtime = __atomic_load_n(&interpreter.runtime, __ATOMIC_RELAXED);
    if (runtime == 0) return 0;
    // Py_tss_t: whether it is in use, and the key.
    const uint64_t tss = load(runtime + structures.runtime_key);
    const uint64_t key = tss >> 32;
    if (static_cast<uint32_t>(tss) != 1 || key >= kMostKeys) return 0;
    uint64_t state =
        static_cast<uint64_t>(offheap_keep_vectors(value_of_key, reinterpret_cast<void*>(key), nullptr));
    if (state != 0 && !is_ours(state)) return 0;
    // With subinterpreters the key may lead to the thread's state in another one than it is in. The state in
    // use is then the one that holds the GIL, if that is this thread's.
    const uint64_t interpreters = runtime + structures.runtime_latest_interpreter;
    if (structures.runtime_holder != 0 && load(interpreters) != load(interpreters + 8)) {
        const uint64_t holder = load(runtime + structures.runtime_holder);
        if (holder != 0 && holder != state && is_ours(holder)) state = holder;
    }
    return state;
}

}  // namespace offheap::python
