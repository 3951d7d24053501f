// The CPython in this process, and the state that it keeps for the calling thread.
#pragma once

#include <stdint.h>

#include "preload/python/cold_part.h"
#include "preload/python/structures.h"

namespace offheap::python {

// What a module that holds an interpreter exports; addresses, 0 where it does not.
struct Exports {
    uint64_t runtime;     // _PyRuntime
    uint64_t version;     // Py_Version: since 3.11
    uint64_t code_type;   // PyCode_Type
    uint64_t since_310;   // PyIter_Send
    uint64_t since_39;    // PyFrame_GetCode
    CodeRange evaluator;  // _PyEval_EvalFrameDefault
};

struct Interpreter {
    uint64_t runtime;  // 0: there is none
    uint64_t code_type;
    CodeRange evaluator;
    CodeRange cold_evaluator;  // 3.9
    Structures structures;
};

extern __attribute__((visibility("hidden"))) Interpreter interpreter;

inline bool is_present() { return __builtin_expect(interpreter.runtime != 0, 0); }

// Makes it the process's interpreter; the first one stays. False where its version isn't known.
bool adopt(const Exports& exports);

// To be called for memory that is unmapped, moved or protected, before it is and after.
void forget_memory(uint64_t start, uint64_t bytes);
// To be called for memory that is unmapped: the interpreter may have been there.
void memory_unmapped(uint64_t start, uint64_t bytes);

// The PyThreadState of the calling thread; 0 where it has none, or none that can be trusted.
uint64_t this_thread_state();

}  // namespace offheap::python
