#include "native/addon/symbol_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "native/addon/bus_guard.h"

namespace offheap::addon {
namespace {

// To be raised with each change of what a table holds.
constexpr uint32_t kVersion = 3;
constexpr char kMagic[8] = {'o', 'f', 'f', 'h', 'e', 'a', 'p', '\0'};
constexpr off_t kMostBytes = off_t{512} << 20;
// A date that is a little late costs nothing, and one write less for each use.
constexpr time_t kTouchedSeconds = 3600;

struct Head {
    char magic[8];
    uint32_t version;
    uint32_t unused;
    uint64_t checksum;  // of what follows
    uint8_t key[kSymbolKeyBytes];
    uint64_t table_bytes;
};
static_assert(sizeof(Head) == 64);
constexpr size_t kCheckedFrom = offsetof(Head, key);

// Finds what wears out or was cut, not who forges: the folder is this user's alone. Each step can be undone,
// so that a change of one word always shows. Four sums side by side go as fast as memory.
uint64_t checksum(std::span<const uint8_t> bytes, uint64_t start) {
    constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;
    uint64_t first = start, second = start ^ 1, third = start ^ 2, fourth = start ^ 3;
    const auto add = [](uint64_t& sum, uint64_t word) {
        sum = (sum ^ word) * kOdd;
        sum ^= sum >> 32;
    };
    const auto add_four = [&](const uint8_t* at) {
        uint64_t words[4];
        memcpy(words, at, sizeof words);
        add(first, words[0]);
        add(second, words[1]);
        add(third, words[2]);
        add(fourth, words[3]);
    };
    constexpr size_t kStep = 4 * sizeof(uint64_t);
    size_t at = 0;
    for (; at + kStep <= bytes.size(); at += kStep) add_four(bytes.data() + at);
    uint8_t rest[kStep] = {};
    if (at < bytes.size()) memcpy(rest, bytes.data() + at, bytes.size() - at);
    add_four(rest);
    uint64_t total = bytes.size();
    for (const uint64_t sum : {first, second, third, fourth}) add(total, sum);
    return total;
}

uint64_t checksum_of(const Head& head, std::span<const uint8_t> table) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(&head);
    return checksum(table, checksum({bytes + kCheckedFrom, sizeof head - kCheckedFrom}, 0));
}

bool is_ours(const struct stat& status) {
    return S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
           (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

bool is_sound(uint8_t* base, size_t bytes, SymbolKey key) {
    bool sound = false;
    const bool there = guarded_access(base, bytes, [&] {
        Head head;
        memcpy(&head, base, sizeof head);
        sound = memcmp(head.magic, kMagic, sizeof kMagic) == 0 && head.version == kVersion &&
                head.unused == 0 && memcmp(head.key, key.data(), sizeof head.key) == 0 &&
                head.table_bytes == bytes - sizeof head &&
                head.checksum == checksum_of(head, {base + sizeof head, bytes - sizeof head});
    });
    return there && sound;
}

}  // namespace

std::optional<SymbolFile> SymbolFile::open(const std::string& path, SymbolKey key) {
    install_bus_guard();
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0) return {};
    struct stat status;
    std::optional<SymbolFile> found;
    if (fstat(file, &status) == 0 && is_ours(status) && status.st_size >= static_cast<off_t>(sizeof(Head)) &&
        status.st_size <= kMostBytes) {
        const auto bytes = static_cast<size_t>(status.st_size);
        void* const base = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
        if (base != MAP_FAILED) {
            SymbolFile mapped(static_cast<uint8_t*>(base), bytes);
            if (is_sound(mapped.base_, bytes, key)) found.emplace(std::move(mapped));
        }
        if (found && time(nullptr) - status.st_mtime > kTouchedSeconds) futimens(file, nullptr);
    }
    ::close(file);
    if (!found) unlink(path.c_str());
    return found;
}

MaybeFailure SymbolFile::create(const std::string& path, SymbolKey key, std::span<const uint8_t> table) {
    const auto failure = [] { return Failure{kSymbolsUnkept, strerror(errno)}; };
    Head head = {};
    memcpy(head.magic, kMagic, sizeof kMagic);
    head.version = kVersion;
    memcpy(head.key, key.data(), sizeof head.key);
    head.table_bytes = table.size();
    head.checksum = checksum_of(head, table);
    if (sizeof head + table.size() > static_cast<size_t>(kMostBytes)) {
        return Failure{kSymbolsUnkept, "the table is too large"};
    }
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) return failure();
    const iovec parts[] = {{&head, sizeof head}, {const_cast<uint8_t*>(table.data()), table.size()}};
    errno = ENOSPC;  // what a write that ends early doesn't say
    const bool written = writev(file, parts, 2) == static_cast<ssize_t>(sizeof head + table.size());
    MaybeFailure failed = written ? MaybeFailure{} : failure();
    if (::close(file) != 0 && !failed) failed = failure();
    if (failed) unlink(path.c_str());
    return failed;
}

SymbolFile::~SymbolFile() {
    if (base_ != nullptr) munmap(base_, bytes_);
}

std::span<const uint8_t> SymbolFile::table() const { return {base_ + sizeof(Head), bytes_ - sizeof(Head)}; }

}  // namespace offheap::addon
