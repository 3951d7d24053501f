// Where CPython keeps what a walk of its frames reads: offsets in its structures, by version.
//
// From 3.13 on the interpreter tells most of them itself, at the head of _PyRuntime; the rest and those of
// older versions are written down here. They are the same in all releases of a minor version, whatever the
// platform's options, but for free-threaded builds. test/python-structures.test.ts holds them against the
// headers.
#pragma once

#include <stdint.h>

namespace offheap::python {

// How a thread's frames hang together, and what tells which call of the evaluator runs which of them.
enum class Chain : uint8_t {
    frame_objects,   // 3.9: one frame object for each call of the evaluator, found by its return address
    framed_objects,  // 3.10: the same; each call keeps a record on the C stack
    entry_flags,     // 3.11: many frames for each call; the oldest is marked, and the call keeps a record
    entry_frames,    // 3.12: each call has a frame of its own on the C stack, below those that it runs
};

enum class LineTable : uint8_t { lnotab, line_deltas, locations };  // 3.9, 3.10, 3.11

struct Structures {
    Chain chain;
    LineTable line_table;
    // _PyRuntime: the key of the thread's state, the latest interpreter and the first one, who holds the GIL.
    uint16_t runtime_key;
    uint16_t runtime_latest_interpreter;
    uint16_t runtime_holder;  // 0: the key leads to the state in use, whatever the interpreter
    // PyThreadState
    uint16_t thread_cframe;  // 0: it has none
    uint16_t thread_frame;   // 0: stands in the record on the C stack
    uint16_t thread_id;
    // CFrame
    uint16_t cframe_previous;
    uint16_t cframe_frame;
    // _PyInterpreterFrame, PyFrameObject
    uint16_t frame_code;
    uint16_t frame_previous;
    uint16_t frame_instruction;
    uint16_t frame_owner;        // of Chain::entry_flags: the mark
    uint16_t frame_thread_code;  // 0: there is no copy of the code for each thread
    // PyCodeObject
    uint16_t code_first_line;
    uint16_t code_file;
    uint16_t code_name;
    uint16_t code_lines;
    uint16_t code_version;  // 0: code objects have no numbers of their own
    uint16_t code_bytes;
    uint16_t code_thread_code;
    // PyObject, PyBytesObject, PyASCIIObject, PyCompactUnicodeObject
    uint16_t object_type;
    uint16_t bytes_length;
    uint16_t bytes_data;
    uint16_t text_length;
    uint16_t text_hash;
    uint16_t text_state;
    uint16_t text_kind_shift;  // of the bits in its state
    uint16_t text_ascii_data;
    uint16_t text_data;
};

// Instructions are counted in these, where a frame holds a number and no pointer.
constexpr uint32_t instruction_bytes(Chain chain) { return chain == Chain::frame_objects ? 1 : 2; }

// The structures of a version as Py_Version gives it (0x030b02f0); false for one that isn't known. `runtime`
// is the address of _PyRuntime; its first words are read.
bool find_structures(uint32_t version, uint64_t runtime, Structures* found);

}  // namespace offheap::python
