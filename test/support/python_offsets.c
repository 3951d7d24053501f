// Prints where this Python's headers have what preload/python/structures.h says of it, a name and an offset
// in each line. Given a FILE, writes into it what _PyRuntime begins with by these headers (3.14): compiled
// with -DPy_GIL_DISABLED=1, both are those of a free-threaded build.
#define Py_BUILD_CORE 1
#include <Python.h>
#include <stddef.h>
#include <stdio.h>
#if PY_VERSION_HEX >= 0x030b0000
#include <internal/pycore_frame.h>
#else
#include <code.h>
#include <frameobject.h>
#endif
#if PY_VERSION_HEX >= 0x030e0000
#include <internal/pycore_debug_offsets.h>
#include <internal/pycore_interpframe_structs.h>
#endif
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>

#define TELL(name, type, field) printf("%s %zu\n", #name, offsetof(type, field))

#if PY_VERSION_HEX >= 0x030e0000
static int write_head(const char* path) {
    static const union {
        struct _Py_DebugOffsets offsets;
        char bytes[1024];
    } head = {_Py_DebugOffsets_INIT("xdebugpy")};
    _Static_assert(sizeof head == sizeof head.bytes, "more is told than is looked at");
    FILE* file = fopen(path, "wb");
    return file != NULL && fwrite(&head, sizeof head, 1, file) == 1 && fclose(file) == 0 ? 0 : 1;
}
#endif

// How far to the left the bits of a string's kind stand in its state.
static int text_kind_shift(void) {
    union {
        PyASCIIObject text;
        unsigned long long words[sizeof(PyASCIIObject) / 8];
    } any = {0};
    any.text.state.kind = 1;
    return __builtin_ctzll(any.words[offsetof(PyASCIIObject, state) / 8]);
}

int main(int count, char** arguments) {
#if PY_VERSION_HEX >= 0x030e0000
    if (count > 1 && write_head(arguments[1]) != 0) return 1;
#endif
#if PY_VERSION_HEX < 0x030c0000
    TELL(runtime_key, _PyRuntimeState, gilstate.autoTSSkey);
    TELL(runtime_holder, _PyRuntimeState, gilstate.tstate_current);
#else
    TELL(runtime_key, _PyRuntimeState, autoTSSkey);
#endif
    TELL(runtime_latest_interpreter, _PyRuntimeState, interpreters.head);
    printf("first_interpreter_behind %zu\n",
           offsetof(_PyRuntimeState, interpreters.main) - offsetof(_PyRuntimeState, interpreters.head));
    TELL(thread_id, PyThreadState, thread_id);
#if PY_VERSION_HEX < 0x030b0000
    TELL(thread_frame, PyThreadState, frame);
#if PY_VERSION_HEX >= 0x030a0000
    TELL(thread_cframe, PyThreadState, cframe);
    TELL(cframe_previous, CFrame, previous);
#endif
    TELL(frame_code, PyFrameObject, f_code);
    TELL(frame_previous, PyFrameObject, f_back);
    TELL(frame_instruction, PyFrameObject, f_lasti);
    TELL(code_name, PyCodeObject, co_name);
#else
#if PY_VERSION_HEX < 0x030d0000
    TELL(thread_cframe, PyThreadState, cframe);
    TELL(cframe_previous, _PyCFrame, previous);
    TELL(cframe_frame, _PyCFrame, current_frame);
    TELL(frame_code, _PyInterpreterFrame, f_code);
    TELL(frame_instruction, _PyInterpreterFrame, prev_instr);
#else
    TELL(thread_frame, PyThreadState, current_frame);
    TELL(frame_code, _PyInterpreterFrame, f_executable);
    TELL(frame_instruction, _PyInterpreterFrame, instr_ptr);
#endif
    TELL(frame_previous, _PyInterpreterFrame, previous);
#if PY_VERSION_HEX < 0x030c0000
    TELL(frame_owner, _PyInterpreterFrame, is_entry);
#else
    TELL(frame_owner, _PyInterpreterFrame, owner);
    TELL(code_version, PyCodeObject, co_version);
#endif
    TELL(code_name, PyCodeObject, co_qualname);
    TELL(code_bytes, PyCodeObject, co_code_adaptive);
#endif
    TELL(code_first_line, PyCodeObject, co_firstlineno);
    TELL(code_file, PyCodeObject, co_filename);
#if PY_VERSION_HEX >= 0x030a0000
    TELL(code_lines, PyCodeObject, co_linetable);
#else
    TELL(code_lines, PyCodeObject, co_lnotab);
#endif
    TELL(object_type, PyObject, ob_type);
    TELL(bytes_length, PyVarObject, ob_size);
    TELL(bytes_data, PyBytesObject, ob_sval);
    TELL(text_length, PyASCIIObject, length);
    TELL(text_hash, PyASCIIObject, hash);
    TELL(text_state, PyASCIIObject, state);
    printf("text_kind_shift %d\n", text_kind_shift());
#if PY_VERSION_HEX >= 0x030e0000 && defined(Py_GIL_DISABLED)
    TELL(frame_thread_code, _PyInterpreterFrame, tlbc_index);
    TELL(code_thread_code, PyCodeObject, co_tlbc);
    // As preload/python/code.cc reads the copies of the code.
    _Static_assert(offsetof(_PyCodeArray, size) == 0 && offsetof(_PyCodeArray, entries) == 8, "");
#endif
    printf("text_ascii_data %zu\n", sizeof(PyASCIIObject));
    printf("text_data %zu\n", sizeof(PyCompactUnicodeObject));
    return 0;
}
