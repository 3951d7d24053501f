// Prints where this Python's headers have what preload/python/structures.h says of it, a name and an offset
// in each line.
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
#include <internal/pycore_interpframe_structs.h>
#endif
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>

#define TELL(name, type, field) printf("%s %zu\n", #name, offsetof(type, field))

int main(void) {
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
    printf("text_ascii_data %zu\n", sizeof(PyASCIIObject));
    printf("text_data %zu\n", sizeof(PyCompactUnicodeObject));
    return 0;
}
