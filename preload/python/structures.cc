#include "preload/python/structures.h"

#include "preload/unwind/stack_memory.h"

namespace offheap::python {
namespace {

constexpr Structures k39 = {
    .chain = Chain::frame_objects,
    .line_table = LineTable::lnotab,
    .runtime_key = 584,
    .runtime_latest_interpreter = 32,
    .runtime_holder = 568,
    .thread_cframe = 0,
    .thread_frame = 24,
    .thread_id = 176,
    .cframe_previous = 0,
    .cframe_frame = 0,
    .frame_code = 32,
    .frame_previous = 24,
    .frame_instruction = 104,
    .frame_owner = 0,
    .frame_thread_code = 0,
    .code_first_line = 40,
    .code_file = 104,
    .code_name = 112,
    .code_lines = 120,
    .code_version = 0,
    .code_bytes = 0,
    .code_thread_code = 0,
    .object_type = 8,
    .bytes_length = 16,
    .bytes_data = 32,
    .text_length = 16,
    .text_hash = 24,
    .text_state = 32,
    .text_kind_shift = 2,
    .text_ascii_data = 48,
    .text_data = 72,
};

constexpr Structures k310 = [] {
    Structures s = k39;
    s.chain = Chain::framed_objects;
    s.line_table = LineTable::line_deltas;
    s.thread_cframe = 48;
    s.cframe_previous = 8;
    s.frame_instruction = 96;
    return s;
}();

constexpr Structures k311 = [] {
    Structures s = k39;
    s.chain = Chain::entry_flags;
    s.line_table = LineTable::locations;
    s.runtime_key = 592;
    s.runtime_latest_interpreter = 40;
    s.runtime_holder = 576;
    s.thread_cframe = 56;
    s.thread_frame = 0;
    s.thread_id = 152;
    s.cframe_previous = 16;
    s.cframe_frame = 8;
    s.frame_code = 32;
    s.frame_previous = 48;
    s.frame_instruction = 56;
    s.frame_owner = 68;
    s.code_first_line = 72;
    s.code_file = 112;
    s.code_name = 128;
    s.code_lines = 136;
    s.code_bytes = 184;
    return s;
}();

constexpr Structures k312 = [] {
    Structures s = k311;
    s.chain = Chain::entry_frames;
    s.runtime_key = 1544;
    s.runtime_holder = 0;
    s.thread_id = 136;
    s.cframe_previous = 8;
    s.cframe_frame = 0;
    s.frame_code = 0;
    s.frame_previous = 8;
    s.frame_owner = 70;
    s.code_first_line = 68;
    s.code_version = 92;
    s.code_bytes = 192;
    s.text_ascii_data = 40;
    s.text_data = 56;
    return s;
}();

// _Py_DebugOffsets, in words: a head, then a group for each structure, which starts with its size.
struct DebugOffsets {
    uint16_t interpreter_words, frame_words, code_words, set_words;
};
constexpr DebugOffsets k313Offsets = {13, 6, 10, 0};
constexpr DebugOffsets k314Offsets = {16, 8, 11, 4};
constexpr uint64_t kCookie = 0x7970677562656478;  // "xdebugpy"
constexpr uint32_t kThreadWords = 9;
constexpr uint32_t kWordsBetween = 4 + 3 + 3 + 3 + 2 + 3;  // types, tuples, lists, dicts, floats, integers

// Not told: how far behind the list of interpreters the key stands.
constexpr uint16_t kKeyBehindInterpreters = 1528;

bool told_structures(uint32_t version, uint64_t runtime, const DebugOffsets& offsets, Structures* found) {
    const auto word = [&](uint32_t index) { return unwind::load(runtime + 8 * index); };
    if (word(0) != kCookie || word(1) != version) return false;
    const bool is_free_threaded = word(2) != 0;
    const uint32_t runtime_state = 3;
    const uint32_t thread = runtime_state + 3 + offsets.interpreter_words;
    const uint32_t frame = thread + kThreadWords;
    const uint32_t code = frame + offsets.frame_words;
    const uint32_t object = code + offsets.code_words;
    const uint32_t bytes = object + 2 + kWordsBetween + offsets.set_words;
    const uint32_t text = bytes + 3;
    const auto offset = [&](uint32_t index) { return static_cast<uint16_t>(word(index)); };
    for (uint32_t index = runtime_state + 1; index < text + 4; ++index) {
        const bool is_size = index == runtime_state + 3 || index == thread || index == frame || index == code;
        // The interpreter's state alone is that large.
        const bool is_interpreter = index >= runtime_state + 3 && index < thread;
        if (!is_size && !is_interpreter && word(index) >= 4096) return false;
    }
    Structures s = k312;
    s.runtime_latest_interpreter = offset(runtime_state + 2);
    s.runtime_key = static_cast<uint16_t>(s.runtime_latest_interpreter + kKeyBehindInterpreters);
    s.thread_cframe = 0;
    s.thread_frame = offset(thread + 4);
    s.thread_id = offset(thread + 5);
    s.frame_previous = offset(frame + 1);
    s.frame_code = offset(frame + 2);
    s.frame_instruction = offset(frame + 3);
    s.frame_owner = offset(frame + 5);
    s.code_file = offset(code + 1);
    s.code_name = offset(code + 3);
    s.code_lines = offset(code + 4);
    s.code_first_line = offset(code + 5);
    s.code_version = static_cast<uint16_t>(s.code_first_line + 24);
    s.code_bytes = offset(code + 9);
    if (is_free_threaded && offsets.frame_words > 7) {
        s.frame_thread_code = offset(frame + 7);
        s.code_thread_code = offset(code + 10);
        s.text_kind_shift = 8;
    }
    s.object_type = offset(object + 1);
    s.bytes_length = offset(bytes + 1);
    s.bytes_data = offset(bytes + 2);
    s.text_state = offset(text + 1);
    s.text_length = offset(text + 2);
    s.text_hash = static_cast<uint16_t>(s.text_length + 8);
    s.text_ascii_data = offset(text + 3);
    s.text_data = static_cast<uint16_t>(s.text_ascii_data + 16);
    *found = s;
    return true;
}

}  // namespace

bool find_structures(uint32_t version, uint64_t runtime, Structures* found) {
    switch (version >> 16) {
        case 0x0309:
            *found = k39;
            return true;
        case 0x030a:
            *found = k310;
            return true;
        case 0x030b:
            *found = k311;
            return true;
        case 0x030c:
            *found = k312;
            return true;
        case 0x030d:
            return told_structures(version, runtime, k313Offsets, found);
        case 0x030e:
            return told_structures(version, runtime, k314Offsets, found);
        default:
            return false;
    }
}

}  // namespace offheap::python
