#include "preload/python/code.h"

#include <algorithm>
#include <iterator>
#include <memory>

#include "gtest/gtest.h"
#include "preload/python/interpreter.h"

namespace offheap::python {
namespace {

uint64_t address_of(const void* object) { return reinterpret_cast<uint64_t>(object); }

// A function of four instructions, each a line further, in a free-threaded build: with a copy of its code for
// each thread.
class ThreadCodeTest : public testing::Test {
  protected:
    static constexpr uint32_t kFirstLine = 40;

    ThreadCodeTest() {
        before_ = interpreter;
        find_structures(0x030c0000, 0, &interpreter.structures);
        Structures& s = interpreter.structures;
        s.frame_thread_code = 72;
        s.code_thread_code = 96;
        set(code_, s.code_lines, address_of(lines_));
        set(code_, s.code_thread_code, address_of(copies_));
        reinterpret_cast<uint32_t*>(code_)[s.code_first_line / 4] = kFirstLine;
        // Each entry: one instruction, a line further, and its columns.
        static constexpr uint8_t kTable[] = {0xd8, 0, 0, 0xd8, 0, 0, 0xd8, 0, 0, 0xd8, 0, 0};
        set(lines_, s.bytes_length, sizeof kTable);
        std::copy(std::begin(kTable), std::end(kTable), reinterpret_cast<uint8_t*>(lines_) + s.bytes_data);
    }
    ~ThreadCodeTest() override { interpreter = before_; }

    static void set(uint64_t* object, uint32_t offset, uint64_t value) { object[offset / 8] = value; }

    // Of an instruction of the thread whose number the frame holds.
    uint32_t line_of(uint32_t thread, const void* instruction) {
        set(frame_, interpreter.structures.frame_thread_code, thread);
        return static_cast<uint32_t>(known_->key_of(address_of(frame_), address_of(code_), {7, 0},
                                                    address_of(instruction),
                                                    [](const CodeDescription&) { return uint32_t{1}; }));
    }

    Interpreter before_;
    uint16_t own_[4] = {}, others_[4] = {};
    // How many there are, and where.
    uint64_t copies_[3] = {2, address_of(own_), address_of(others_)};
    uint64_t frame_[16] = {}, code_[32] = {}, lines_[16] = {};
    std::unique_ptr<KnownCode> known_{new KnownCode()};
};

TEST_F(ThreadCodeTest, AnInstructionIsOneOfTheThreadsCopy) {
    for (uint32_t i = 0; i < 4; ++i) {
        EXPECT_EQ(line_of(0, own_ + i), kFirstLine + i + 1);
        EXPECT_EQ(line_of(1, others_ + i), kFirstLine + i + 1);
    }
}

TEST_F(ThreadCodeTest, ACopyThatIsNotThereHasNoLine) {
    EXPECT_EQ(line_of(2, own_), 0u);
    EXPECT_EQ(line_of(0xffffffff, own_), 0u);
    set(code_, interpreter.structures.code_thread_code, 8);
    EXPECT_EQ(line_of(0, own_), 0u);
}

}  // namespace
}  // namespace offheap::python
