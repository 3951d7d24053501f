#include "native/lines/answer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <string_view>
#include <unordered_map>

#include "native/lines/message.h"

namespace offheap::lines {
namespace {

// A name longer than this is cut: a file may hold gigabytes without a zero byte.
constexpr size_t kLongestText = 1 << 16;

// Numbers texts, from 1; 0 stands for none.
class Texts {
  public:
    explicit Texts(MessageWriter& writer) : writer_(writer) {}

    uint32_t number(const char* text) {
        if (text == nullptr) return 0;
        // Most texts come again and again at the same place.
        uint32_t& known = by_place_[text];
        if (known == 0) {
            const std::string_view value(text, strnlen(text, kLongestText));
            uint32_t& same = by_value_[value];
            if (same == 0) {
                same = static_cast<uint32_t>(by_value_.size());
                writer_.text(value);
            }
            known = same;
        }
        return known;
    }

    uint32_t count() const { return static_cast<uint32_t>(by_value_.size()); }

  private:
    MessageWriter& writer_;
    std::unordered_map<const char*, uint32_t> by_place_;
    std::unordered_map<std::string_view, uint32_t> by_value_;
};

uint64_t resident_bytes() {
    unsigned long long resident = 0;
    if (FILE* file = fopen("/proc/self/statm", "re")) {
        if (fscanf(file, "%*u %llu", &resident) != 1) resident = 0;
        fclose(file);
    }
    return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

std::vector<uint8_t> refusal(const std::string& reason) {
    MessageWriter writer;
    writer.u8(1);
    writer.text(reason);
    return writer.bytes();
}

}  // namespace

std::vector<uint8_t> Answers::to(const std::vector<uint8_t>& request) {
    MessageReader reader(request);
    const std::string path = reader.text();
    const std::string identity = reader.text();
    const std::string alternate_name = reader.text();
    const std::string alternate_path = reader.text();
    const std::string alternate_identity = reader.text();
    const uint32_t count = reader.u32();
    if (!reader.complete() || reader.bytes_left() != count * sizeof(uint64_t))
        return refusal("a broken request");

    auto& module = modules_[identity + "\n" + alternate_identity];
    if (module == nullptr) {
        auto opened = std::make_unique<ModuleLines>(path, alternate_name);
        std::string reason = opened->module().open(path, identity);
        if (reason.empty() && !alternate_name.empty()) {
            reason = opened->alternate().open(alternate_path, alternate_identity);
        }
        if (!reason.empty()) return refusal(reason);
        module = std::move(opened);
    }

    std::vector<SourceFrame> frames;
    std::vector<uint32_t> counts(count);
    for (uint32_t& found : counts) {
        const size_t before = frames.size();
        module->find(reader.u64(), frames);
        found = static_cast<uint32_t>(frames.size() - before);
    }

    MessageWriter texts_writer;
    Texts texts(texts_writer);
    std::vector<uint32_t> rows;
    rows.reserve(3 * frames.size());
    for (const auto& [function, file, line] : frames) {
        rows.insert(rows.end(), {texts.number(function), texts.number(file), line});
        if (texts_writer.bytes().size() + 4 * rows.size() > kLongestAnswerBytes)
            return refusal("a huge answer");
    }
    MessageWriter writer;
    writer.u8(0);
    writer.text(module->problem());
    writer.u64(resident_bytes());
    writer.u32(texts.count());
    writer.append(texts_writer.bytes());
    writer.u32(static_cast<uint32_t>(frames.size()));
    writer.numbers(rows);
    writer.u32(count);
    writer.numbers(counts);
    return writer.bytes();
}

}  // namespace offheap::lines
