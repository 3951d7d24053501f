// shim_offsets VERSION FILE: prints what preload/python/structures.h says of a version, a name and an offset
// in each line. FILE holds the first bytes of its _PyRuntime.
#include <stdio.h>
#include <stdlib.h>

#include "preload/python/structures.h"

int main(int, char** arguments) {
    static unsigned long runtime[1024];
    FILE* file = fopen(arguments[2], "rb");
    if (file == nullptr || fread(runtime, 8, 128, file) != 128) return 2;
    offheap::python::Structures s = {};
    const auto version = static_cast<uint32_t>(strtoul(arguments[1], nullptr, 0));
    if (!offheap::python::find_structures(version, reinterpret_cast<uint64_t>(runtime), &s)) return 1;
    printf("first_interpreter_behind 8\n");
#define TELL(name) printf("%s %u\n", #name, s.name)
    TELL(runtime_key);
    TELL(runtime_holder);
    TELL(runtime_latest_interpreter);
    TELL(thread_id);
    TELL(thread_frame);
    TELL(thread_cframe);
    TELL(cframe_previous);
    TELL(cframe_frame);
    TELL(frame_code);
    TELL(frame_previous);
    TELL(frame_instruction);
    TELL(frame_owner);
    TELL(code_version);
    TELL(code_name);
    TELL(code_bytes);
    TELL(code_first_line);
    TELL(code_file);
    TELL(code_lines);
    TELL(object_type);
    TELL(bytes_length);
    TELL(bytes_data);
    TELL(text_length);
    TELL(text_hash);
    TELL(text_state);
    TELL(text_kind_shift);
    TELL(frame_thread_code);
    TELL(code_thread_code);
    TELL(text_ascii_data);
    TELL(text_data);
    return 0;
}
