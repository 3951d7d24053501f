#include "preload/python/recurring_frames.h"

#include <memory>
#include <vector>

#include "gtest/gtest.h"

namespace offheap::python {
namespace {

uint64_t address_of(const void* object) { return reinterpret_cast<uint64_t>(object); }

// The structures of Python 3.12 with three frames in one call of the evaluator.
class RecurringFramesTest : public testing::Test {
  protected:
    static constexpr uint32_t kNative = 77;
    static constexpr uint32_t kNode = 99;
    static constexpr EvaluatorCall kCall = {5, 6};

    RecurringFramesTest() {
        before_ = interpreter;
        find_structures(0x030c0000, 0, &interpreter.structures);
        interpreter.code_type = address_of(&before_);
        const Structures& s = interpreter.structures;
        for (uint32_t i = 0; i < 3; ++i) {
            set(codes_[i], s.object_type, interpreter.code_type);
            set(codes_[i], s.code_file, address_of(file_));
            set(codes_[i], s.code_name, address_of(name_));
            set(codes_[i], s.code_lines, address_of(lines_));
            number(i, 10 + i);
            set(frames_[i], s.frame_code, address_of(codes_[i]));
            set(frames_[i], s.frame_instruction, 0x1000 * (i + 1));
            set(frames_[i], s.frame_previous, address_of(i == 0 ? call_ : frames_[i - 1]));
        }
        reinterpret_cast<uint8_t*>(call_)[s.frame_owner] = 3;
        set(state_, s.thread_cframe, address_of(cframe_));
        enter(frames_[2]);
        memory_.resize(RememberedFrames::bytes_for(8));
        remembered_.place(memory_.data(), 8);
    }
    ~RecurringFramesTest() override { interpreter = before_; }

    static void set(uint64_t* object, uint32_t offset, uint64_t value) { object[offset / 8] = value; }
    void enter(uint64_t* frame) { set(cframe_, interpreter.structures.cframe_frame, address_of(frame)); }
    void number(uint32_t code, uint32_t value) {
        reinterpret_cast<uint32_t*>(codes_[code])[interpreter.structures.code_version / 4] = value;
    }

    // Has the GIL of Python 3.11, which tells who holds it.
    void hold_lock() {
        interpreter.structures.runtime_holder = 8;
        interpreter.runtime = address_of(runtime_);
        runtime_[1] = address_of(state_);
    }

    void capture_and_keep(uint32_t native = kNative, uint32_t node = kNode) {
        ASSERT_EQ(remembered_.capture(address_of(state_), *known_code_,
                                      [](const CodeDescription&) { return uint32_t{1}; }),
                  FrameEnd::root);
        // What comes once is not kept.
        for (int i = 0; i < 2; ++i) keep(native, node);
    }
    void keep(uint32_t native, uint32_t node) {
        recurring_->keep(address_of(state_), remembered_, native, capture_, node,
                         [](uint64_t) { return kCall; });
    }

    auto is_at(bool is_there) {
        return [=, this](uint64_t entry, const EvaluatorCall& call) {
            EXPECT_EQ(entry, address_of(call_));
            EXPECT_EQ(call.native, kCall.native);
            EXPECT_EQ(call.label, kCall.label);
            return is_there;
        };
    }

    uint32_t find(uint32_t native = kNative, bool is_there = true) {
        return recurring_->find(address_of(state_), native, capture_, is_at(is_there));
    }
    uint32_t find_latest(uint32_t native = kNative) { return recurring_->find_latest(native, capture_); }
    uint32_t find_before_latest() { return recurring_->find_before_latest(kNative, capture_); }

    Interpreter before_;
    uint64_t state_[32] = {}, cframe_[4] = {}, call_[16] = {}, frames_[3][16] = {}, codes_[3][32] = {};
    uint64_t runtime_[4] = {}, file_[16] = {}, name_[16] = {}, lines_[16] = {};
    std::vector<uint64_t> memory_;
    RememberedFrames remembered_ = {};
    NativeCapture capture_ = {this, 1};
    std::unique_ptr<KnownCode> known_code_{new KnownCode()};
    std::unique_ptr<RecurringFrames> recurring_{new RecurringFrames()};
};

TEST_F(RecurringFramesTest, FindsTheChainAgain) {
    EXPECT_EQ(find(), 0u);
    capture_and_keep();
    EXPECT_EQ(find(), kNode);
    EXPECT_EQ(find(kNative + 1), 0u) << "on another native stack";
    capture_.turn = 2;
    EXPECT_EQ(find(kNative, false), 0u) << "run by another call of the evaluator";
    EXPECT_EQ(find(), kNode);
    EXPECT_EQ(find(kNative, false), kNode) << "on a native stack that has not changed since";
}

TEST_F(RecurringFramesTest, AChainIsKeptWhenItComesAgain) {
    remembered_.capture(address_of(state_), *known_code_, [](const CodeDescription&) { return uint32_t{1}; });
    keep(kNative, kNode);
    EXPECT_EQ(find(), 0u);
    keep(kNative, kNode);
    EXPECT_EQ(find(), kNode);
}

TEST_F(RecurringFramesTest, TheLatestChainIsFoundOnTheNativeStackThatItWasProvenOn) {
    hold_lock();
    capture_and_keep();
    EXPECT_EQ(find_latest(), kNode);
    capture_.turn = 2;
    EXPECT_EQ(find_latest(), 0u) << "the native stack has been walked anew";
    EXPECT_EQ(find(), kNode);
    EXPECT_EQ(find_latest(), kNode);
}

TEST_F(RecurringFramesTest, TwoChainsMayTakeTurnsOnANativeStack) {
    hold_lock();
    capture_and_keep();
    enter(frames_[1]);
    capture_and_keep(kNative, kNode + 1);
    EXPECT_EQ(find_latest(), kNode + 1);
    EXPECT_EQ(find_before_latest(), 0u) << "it is not in that one";
    enter(frames_[2]);
    EXPECT_EQ(find_latest(), 0u);
    EXPECT_EQ(find_before_latest(), kNode);
    EXPECT_EQ(find_latest(), kNode);
    enter(frames_[1]);
    EXPECT_EQ(find_before_latest(), kNode + 1);
    enter(frames_[2]);
    set(frames_[0], interpreter.structures.frame_instruction, 0x5000);
    EXPECT_EQ(find_before_latest(), 0u) << "another instruction";
}

TEST_F(RecurringFramesTest, FindsTheLatestChainOfAStateThatHoldsTheLock) {
    capture_and_keep();
    EXPECT_EQ(find_latest(), 0u) << "nothing tells whose the lock is";
    hold_lock();
    capture_and_keep();
    EXPECT_EQ(find_latest(), kNode);
    EXPECT_EQ(find_latest(kNative + 1), 0u) << "on another native stack";
    runtime_[1] = address_of(cframe_);
    EXPECT_EQ(find_latest(), 0u) << "another thread has the lock";
    EXPECT_EQ(find(), 0u) << "the chain was kept of a thread that had it";
    capture_and_keep();
    EXPECT_EQ(find(), kNode);
    EXPECT_EQ(find_latest(), 0u) << "kept without the lock";
    runtime_[1] = address_of(state_);
    capture_and_keep();
    set(state_, interpreter.structures.thread_id, 5);
    EXPECT_EQ(find_latest(), 0u) << "another thread's state";
    set(state_, interpreter.structures.thread_id, 0);
    EXPECT_EQ(find_latest(), kNode);
    enter(frames_[1]);
    EXPECT_EQ(find_latest(), 0u) << "in another frame";
}

TEST_F(RecurringFramesTest, AnotherStatesChainIsNotFound) {
    capture_and_keep();
    uint64_t other[32] = {};
    set(other, interpreter.structures.thread_cframe, address_of(cframe_));
    EXPECT_EQ(recurring_->find(address_of(other), kNative, capture_, is_at(true)), 0u);
}

TEST_F(RecurringFramesTest, EveryFrameIsProven) {
    const Structures& s = interpreter.structures;
    capture_and_keep();
    for (auto& frame : frames_) {
        const uint64_t instruction = frame[s.frame_instruction / 8];
        set(frame, s.frame_instruction, instruction + 2);
        EXPECT_EQ(find(), 0u) << "another instruction";
        set(frame, s.frame_instruction, instruction);
        EXPECT_EQ(find(), kNode);
    }
    for (uint32_t i = 0; i < 3; ++i) {
        number(i, 50);
        EXPECT_EQ(find(), 0u) << "another code at the same address";
        number(i, 10 + i);
        EXPECT_EQ(find(), kNode);
    }
    set(frames_[1], s.frame_code, address_of(codes_[0]));
    EXPECT_EQ(find(), 0u) << "another function";
    set(frames_[1], s.frame_code, address_of(codes_[1]));
    set(frames_[2], s.frame_previous, address_of(frames_[0]));
    EXPECT_EQ(find(), 0u) << "a frame less";
    set(frames_[2], s.frame_previous, address_of(frames_[1]));
    set(call_, s.frame_previous, address_of(frames_[1]));
    EXPECT_EQ(find(), 0u) << "more frames behind the oldest one";
}

TEST_F(RecurringFramesTest, CodeWithoutANumberIsProvenByWhatItConsistsOf) {
    const Structures& s = interpreter.structures;
    for (uint32_t i = 0; i < 3; ++i) number(i, 0);
    set(lines_, s.bytes_length, 24);
    capture_and_keep();
    EXPECT_EQ(find(), kNode);
    const auto is_proven = [&](uint64_t* object, uint32_t offset, const char* what) {
        auto& number = reinterpret_cast<uint32_t*>(object)[offset / 4];
        ++number;
        EXPECT_EQ(find(), 0u) << what;
        --number;
        EXPECT_EQ(find(), kNode);
    };
    for (auto& code : codes_) {
        set(code, s.code_name, address_of(file_));
        EXPECT_EQ(find(), 0u) << "another name";
        set(code, s.code_name, address_of(name_));
        is_proven(code, s.code_first_line, "another line");
        is_proven(code, s.code_version, "a number");
    }
    is_proven(file_, s.text_hash, "another text at the file name's address");
    is_proven(name_, s.text_hash, "another text at the name's address");
    is_proven(lines_, s.bytes_length, "a table of another size");
    for (uint32_t word = 0; word < 3; ++word) is_proven(lines_, s.bytes_data + 8 * word, "another table");
}

TEST_F(RecurringFramesTest, ChainsOfSeveralPlacesAreKept) {
    capture_and_keep();
    enter(frames_[1]);
    EXPECT_EQ(find(), 0u);
    capture_and_keep(kNative, kNode + 1);
    EXPECT_EQ(find(), kNode + 1);
    enter(frames_[2]);
    EXPECT_EQ(find(), kNode);
}

TEST_F(RecurringFramesTest, NothingIsKnownOfMemoryThatWasReleased) {
    capture_and_keep();
    forget_memory(address_of(frames_[0]), 1);
    EXPECT_EQ(find(), 0u);
    capture_and_keep();
    EXPECT_EQ(find(), kNode);
}

TEST_F(RecurringFramesTest, RoomIsUsedAnewWhenItIsFull) {
    for (uint32_t native = 1; native < 10'000; ++native) {
        capture_and_keep(native, native + 1);
        EXPECT_EQ(find(native), native + 1);
    }
    EXPECT_EQ(find(1), 0u);
}

TEST_F(RecurringFramesTest, IsForgotten) {
    capture_and_keep();
    recurring_->forget();
    EXPECT_EQ(find(), 0u);
}

}  // namespace
}  // namespace offheap::python
