// Replays the fuzzer's corpus, and cut and damaged variants of it; sanitizers make a test of it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

std::vector<std::vector<uint8_t>> corpus() {
    std::vector<std::vector<uint8_t>> files;
    for (const auto& entry : std::filesystem::directory_iterator(OFFHEAP_CORPUS)) {
        std::ifstream file(entry.path(), std::ios::binary);
        files.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    return files;
}

// A buffer of exactly the size, so that a sanitizer sees the first byte read past the end.
void replay(const std::vector<uint8_t>& bytes) {
    const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
    EXPECT_EQ(LLVMFuzzerTestOneInput(exact.data(), exact.size()), 0);
}

TEST(Corpus, replays) {
    const auto files = corpus();
    ASSERT_FALSE(files.empty());
    for (const auto& file : files) replay(file);
}

TEST(Corpus, survives_truncation_at_every_byte) {
    for (auto file : corpus()) {
        for (; !file.empty(); file.pop_back()) replay(file);
    }
}

TEST(Corpus, survives_damage) {
    std::mt19937 random(1);
    for (const auto& file : corpus()) {
        for (int round = 0; round < 2'000; ++round) {
            auto damaged = file;
            for (int i = 0; i < 3; ++i) damaged[random() % damaged.size()] = static_cast<uint8_t>(random());
            replay(damaged);
        }
    }
}

}  // namespace
