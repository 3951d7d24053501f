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
    uint32_t number(const char* text) {
        if (text == nullptr) return 0;
        // Most texts come again and again at the same place.
        uint32_t& known = by_place_[text];
        if (known == 0) {
            const std::string_view value(text, strnlen(text, kLongestText));
            uint32_t& same = by_value_[value];
            if (same == 0) {
                same = static_cast<uint32_t>(by_value_.size());
                texts_.text(value);
            }
            known = same;
        }
        return known;
    }

    uint32_t count() const { return static_cast<uint32_t>(by_value_.size()); }
    const std::vector<uint8_t>& bytes() const { return texts_.bytes(); }

  private:
    MessageWriter texts_;
    std::unordered_map<const char*, uint32_t> by_place_;
    std::unordered_map<std::string_view, uint32_t> by_value_;
};

// Numbers rows of numbers, from 0: equal ones have one number.
class Rows {
  public:
    uint32_t number(std::basic_string_view<uint32_t> row) {
        const std::string_view bytes(reinterpret_cast<const char*>(row.data()),
                                     row.size() * sizeof(uint32_t));
        const auto [at, is_new] = numbers_.try_emplace(std::string(bytes), count());
        if (is_new) content_.insert(content_.end(), row.begin(), row.end());
        return at->second;
    }

    uint32_t count() const { return static_cast<uint32_t>(numbers_.size()); }
    const std::vector<uint32_t>& content() const { return content_; }

  private:
    std::unordered_map<std::string, uint32_t> numbers_;
    std::vector<uint32_t> content_;
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
    if (!reader.complete() || reader.bytes_left() != count * sizeof(uint64_t)) {
        return refusal("a broken request");
    }

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

    Texts texts;
    Rows frames;
    Rows chains;
    std::vector<uint32_t> chain_of_address;
    std::vector<SourceFrame> found;
    std::vector<uint32_t> chain;
    for (uint32_t i = 0; i < count; ++i) {
        found.clear();
        module->find(reader.u64(), found);
        chain.assign(1, static_cast<uint32_t>(found.size()));
        for (const auto& [function, file, line] : found) {
            const uint32_t frame[] = {texts.number(function), texts.number(file), line};
            chain.push_back(frames.number({frame, 3}));
        }
        chain_of_address.push_back(chains.number({chain.data(), chain.size()}));
        if (texts.bytes().size() + 4 * (frames.content().size() + chains.content().size()) >
            kLongestAnswerBytes) {
            return refusal("a huge answer");
        }
    }

    MessageWriter writer;
    writer.u8(0);
    writer.text(module->problem());
    writer.u64(resident_bytes());
    writer.u32(texts.count());
    writer.append(texts.bytes());
    writer.u32(frames.count());
    writer.numbers(frames.content());
    writer.u32(chains.count());
    writer.numbers(chains.content());
    writer.u32(count);
    writer.numbers(chain_of_address);
    return writer.bytes();
}

}  // namespace offheap::lines
