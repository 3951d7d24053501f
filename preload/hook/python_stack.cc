#include "preload/hook/python_stack.h"

#include <sys/mman.h>

#include "preload/hook/process.h"
#include "preload/hook/thread_state.h"
#include "preload/python/interpreter.h"
#include "preload/record/emit.h"
#include "preload/record/python_code.h"
#include "preload/runtime/raw_syscall.h"

namespace offheap::hook {

using namespace offheap::runtime;
using python::Frame;
using python::FrameEnd;

namespace {

constexpr uint32_t kFirstFrames = 256;
constexpr uint32_t kMostFrames = 1u << 17;
// A call of the evaluator has less than this on the C stack.
constexpr uint64_t kMostEvaluatorBytes = 4096;

uint64_t map_memory(uint64_t bytes) {
    bytes = (bytes + 4095) & ~uint64_t{4095};
    const long address = raw_syscall(kSysMmap, 0, static_cast<long>(bytes), PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (is_error(address)) return 0;
    note_own_mapping(static_cast<uint64_t>(address), bytes);
    return static_cast<uint64_t>(address);
}

// The smaller memory stays mapped, as a stack's does.
bool place_frames(PythonStack& python, uint32_t frames) {
    const uint64_t frames_bytes = python::RememberedFrames::bytes_for(frames);
    const uint32_t capacity = 4 * frames;
    const uint64_t memory = map_memory(frames_bytes + capacity * (sizeof(uint64_t) + sizeof(uint32_t)));
    if (memory == 0) return false;
    python.frames.place(reinterpret_cast<void*>(memory), frames);
    python.keys = reinterpret_cast<uint64_t*>(memory + frames_bytes);
    python.nodes = reinterpret_cast<uint32_t*>(python.keys + capacity);
    python.capacity = capacity;
    python.forget();
    return true;
}

bool grow(PythonStack& python) {
    return python.frames.capacity() < kMostFrames && place_frames(python, python.frames.capacity() * 8);
}

PythonStack* python_stack_of(ThreadState* state, uint32_t generation) {
    PythonStack* python = state->python;
    if (__builtin_expect(python == nullptr, 0)) {
        python = reinterpret_cast<PythonStack*>(map_memory(sizeof(PythonStack)));
        if (python == nullptr || !place_frames(*python, kFirstFrames)) return nullptr;
        state->python = python;
    }
    const uint64_t channel_id = process.channel.header()->channel_id;
    if (__builtin_expect(python->channel_id != channel_id, 0)) {
        python->forget();
        python->known_code.forget();
        python->forget_endings();
        python->channel_id = channel_id;
    }
    if (__builtin_expect(python->generation != generation, 0)) {
        python->known = 0;
        python->recurring.forget();
        python->joint.native = 0;
        python->node = 0;
        python->generation = generation;
    }
    return python;
}

uint32_t number_code(const python::CodeDescription& code) {
    return record::intern_python_code(process.channel, {code.file, code.file_bytes},
                                      {code.name, code.name_bytes}, code.first_line);
}

bool capture_frames(PythonStack& python, uint64_t thread) {
    FrameEnd end;
    do {
        end = python.frames.capture(thread, python.known_code, number_code);
    } while (end == FrameEnd::capacity && grow(python));
    return end == FrameEnd::root;
}

// Whether the address lies in this native frame.
bool lies_in(uint64_t address, const unwind::RememberedStack& stack, uint32_t native) {
    const unwind::RememberedFrame* const natives = stack.frames();
    const uint64_t low = natives[native].rsp;
    const uint64_t high = native == 0 ? low + kMostEvaluatorBytes : natives[native - 1].rsp;
    return address >= low && address < high;
}

// Puts the two together.
class Merge {
  public:
    Merge(PythonStack& python, const unwind::RememberedStack& native)
        : python_(python),
          frames_(python.frames.frames()),
          keys_(python.frames.keys()),
          count_(python.frames.count()),
          native_(native),
          unchanged_(python.known) {}

    // Up to the youngest Python frame. False where a Python frame has found no place.
    bool put_python() {
        const bool by_address = count_ > 0 && frames_[0].entry == python::kEntryUnplaced;
        uint32_t oldest = 0;
        if (by_address) {
            oldest = next_ = calls_without_place();
        } else if (!resume()) {
            // The oldest, whose chain is cut, belong to nobody that is known.
            while (next_ < count_ && frames_[next_].entry == 0) ++next_;
            oldest = next_;
        }
        while (native_next_ < native_.count() && next_ < count_) {
            const uint32_t native = put_native();
            if (by_address) {
                if (is_evaluator(native_.frames()[native].frame)) put(keys_[next_++]);
            } else if (is_within(native)) {
                put_group(native);
            }
        }
        return oldest == 0 && next_ == count_;
    }

    // What is left.
    void put_natives() {
        while (native_next_ < native_.count()) put_native();
    }
    bool has_natives() const { return native_next_ < native_.count(); }

    uint32_t count() const { return merged_; }
    uint32_t unchanged() const { return unchanged_ < merged_ ? unchanged_ : merged_; }

  private:
    // Goes on where the youngest Python frames began, if all before them is what it was.
    bool resume() {
        const PythonStack::Joint joint = python_.joint;
        python_.joint.native = 0;
        if (joint.native == 0 || joint.native > native_.count() || joint.merged > unchanged_ ||
            joint.frames > python_.frames.unchanged() || joint.frames >= count_) {
            return false;
        }
        const uint32_t native = joint.native - 1;
        const unwind::RememberedFrame& frame = native_.frames()[native];
        // A label stands for a frame and all older ones.
        if (native >= native_.labelled() || frame.label != joint.native_label ||
            frame.rsp != joint.native_rsp)
            return false;
        merged_ = joint.merged;
        next_ = joint.frames;
        native_next_ = native + 1;
        if (is_within(native)) put_group(native);
        return true;
    }

    // The frame's number.
    uint32_t put_native() {
        const uint32_t native = native_next_++;
        const uint64_t frame = native_.frames()[native].frame;
        if (!record::own_code.holds(frame)) put(frame);
        return native;
    }

    void put_group(uint32_t native) {
        const unwind::RememberedFrame& frame = native_.frames()[native];
        python_.joint = {native + 1, frame.label, frame.rsp, merged_, next_};
        do {
            put(keys_[next_++]);
            while (next_ < count_ && frames_[next_].entry == 0) put(keys_[next_++]);
        } while (next_ < count_ && is_within(native));
    }

    void put(uint64_t key) {
        if (python_.keys[merged_] != key && unchanged_ > merged_) unchanged_ = merged_;
        python_.keys[merged_++] = key;
    }

    // Whether the next frames' call of the evaluator is this native frame.
    bool is_within(uint32_t native) const { return lies_in(frames_[next_].entry, native_, native); }

    static bool is_evaluator(uint64_t frame) {
        const python::Interpreter& interpreter = python::interpreter;
        return interpreter.evaluator.contains(frame - 1) || interpreter.cold_evaluator.contains(frame - 1);
    }

    // Frames and calls are told apart from the leaf on, where the newest of either is.
    uint32_t calls_without_place() const {
        uint32_t calls = 0;
        for (uint32_t i = 0; i < native_.count(); ++i) calls += is_evaluator(native_.frames()[i].frame);
        return calls < count_ ? count_ - calls : 0;
    }

    PythonStack& python_;
    const Frame* const frames_;
    const uint64_t* const keys_;
    const uint32_t count_;
    const unwind::RememberedStack& native_;
    uint32_t next_ = 0;
    uint32_t native_next_ = 0;
    uint32_t merged_ = 0;
    uint32_t unchanged_;
};

// The node of the merged stack.
record::InternedStack intern(PythonStack& python, Merge& merge, uint32_t native, uint32_t generation) {
    record::StackNodes nodes{python.nodes, 1, merge.unchanged()};
    const auto intern_so_far = [&] {
        const record::StackFrames frames{python.keys, 1, merge.count()};
        const record::InternedStack interned =
            record::intern_stack(process.channel, &nodes, frames, generation);
        python.known = nodes.known;
        return interned;
    };
    const record::InternedStack youngest = intern_so_far();
    if (youngest.cut || !merge.has_natives()) return youngest;
    const uint64_t hash = (uint64_t{youngest.node} << 32 | native) * 0x9e3779b97f4a7c15ULL;
    PythonStack::Ending& ending = python.endings[hash >> 54];
    static_assert(PythonStack::kEndings == 1u << (64 - 54));
    if (native != 0 && ending.python == youngest.node && ending.native == native) return {ending.node, false};
    merge.put_natives();
    const record::InternedStack whole = intern_so_far();
    if (!whole.cut) ending = {youngest.node, native, whole.node};
    return whole;
}

// Whether a call of the evaluator runs the frame with this entry still.
struct RunsStill {
    const unwind::RememberedStack& stack;
    bool operator()(uint64_t entry, const python::EvaluatorCall& call) const {
        return call.native < stack.count() && stack.frames()[call.native].label == call.label &&
               lies_in(entry, stack, call.native);
    }
};

void keep_node(PythonStack& python, const unwind::RememberedStack& stack, uint64_t thread, uint32_t native,
               uint32_t node) {
    uint32_t next = 0;
    const auto call_of = [&](uint64_t entry) -> python::EvaluatorCall {
        while (next + 1 < stack.count() && !lies_in(entry, stack, next)) ++next;
        return {next, stack.frames()[next].label};
    };
    python.recurring.keep(thread, python.frames, native, {&stack, stack.turn()}, node, call_of);
}

// Reads the frames and puts them among the native ones. `is_labelled`: the stack's label is `native`.
__attribute__((noinline)) uint32_t capture_python(PythonStack& python, const unwind::RememberedStack& stack,
                                                  uint64_t thread, uint32_t native, bool is_labelled,
                                                  uint32_t generation) {
    const bool is_whole = capture_frames(python, thread);
    if (python.frames.count() == 0 && is_whole) return native;

    const uint64_t leaf_rsp = stack.count() > 0 ? stack.frames()[stack.count() - 1].rsp : 0;
    const uint32_t count = python.frames.count();
    const bool is_repeated = python.frames.unchanged() == count && python.frame_count == count &&
                             python.node != 0 && python.native == native && python.leaf_rsp == leaf_rsp;
    if (is_repeated && is_whole) return python.node;

    while (stack.count() + python.frames.count() > python.capacity) {
        if (!grow(python)) return native;
        capture_frames(python, thread);
    }
    Merge merge(python, stack);
    const bool is_placed = merge.put_python();
    if ((!is_placed && stack.stop() == unwind::Stop::end_of_stack) || !is_whole) {
        __atomic_fetch_add(&process.channel.header()->python_stacks_cut, 1, __ATOMIC_RELAXED);
    }
    const record::InternedStack interned = intern(python, merge, native, generation);
    if (is_labelled && is_placed && is_whole && !interned.cut)
        keep_node(python, stack, thread, native, interned.node);
    python.node = interned.node;
    python.native = native;
    python.frame_count = python.frames.count();
    python.leaf_rsp = leaf_rsp;
    return python.node != 0 ? python.node : native;
}

__attribute__((noinline)) uint32_t find_or_capture(ThreadState* state, uint32_t native, bool is_labelled,
                                                   uint32_t generation) {
    const uint64_t thread = python::this_thread_state();
    if (thread == 0) return native;
    PythonStack* const python = python_stack_of(state, generation);
    if (python == nullptr) return native;
    const unwind::RememberedStack& stack = *state->last;
    if (is_labelled) {
        const python::NativeCapture capture = {&stack, stack.turn()};
        const uint32_t node = python->recurring.find(thread, native, capture, RunsStill{stack});
        if (__builtin_expect(node != 0, 1)) return node;
    }
    return capture_python(*python, stack, thread, native, is_labelled, generation);
}

// Of a labelled stack.
__attribute__((noinline)) uint32_t find_before_latest(ThreadState* state, uint32_t native,
                                                      uint32_t generation) {
    const unwind::RememberedStack& stack = *state->last;
    const uint32_t node = state->python->recurring.find_before_latest(native, {&stack, stack.turn()});
    return node != 0 ? node : find_or_capture(state, native, true, generation);
}

}  // namespace

__attribute__((noinline)) uint32_t with_python_frames(ThreadState* state, uint32_t native, bool is_labelled,
                                                      uint32_t generation) {
    PythonStack* const python = state->python;
    const unwind::RememberedStack& stack = *state->last;
    // What is remembered is of the labels' channel and generation.
    const bool may_recur = is_labelled && python != nullptr && python->generation == generation &&
                           python->channel_id == state->labels_channel_id;
    if (__builtin_expect(may_recur, 1)) {
        const python::NativeCapture capture = {&stack, stack.turn()};
        const uint32_t node = python->recurring.find_latest(native, capture);
        if (__builtin_expect(node != 0, 1)) return node;
        return find_before_latest(state, native, generation);
    }
    return find_or_capture(state, native, is_labelled, generation);
}

}  // namespace offheap::hook
