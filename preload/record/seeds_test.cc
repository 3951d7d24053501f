// The lines of /proc/self/maps against another reading of them.
#include "preload/record/seeds.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include "test/native/channel_reader.h"
#include "test/native/private_folder.h"

namespace offheap::record {
namespace {

struct Line {
    uint64_t start, end, offset, major, minor, inode;
    int protection;
    bool shared;
    std::string path;
    bool operator==(const Line&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Line& line) {
    return out << std::hex << line.start << "-" << line.end << " " << line.path;
}

// Nothing may be mapped while the file is read, so both readings go to memory that is there already.
struct PlainText {
    char text[4 << 20];
    size_t length = 0;

    void read() {
        const int fd = open("/proc/self/maps", O_RDONLY);
        length = 0;
        for (ssize_t got; (got = ::read(fd, text + length, sizeof text - length)) > 0;)
            length += static_cast<size_t>(got);
        close(fd);
    }
    bool operator==(const PlainText& other) const {
        return length == other.length && memcmp(text, other.text, length) == 0;
    }
};

struct Visits {
    struct Visit {
        MapsLine line;
        size_t path_at;
    };
    Visit visits[20'000];
    char paths[4 << 20];
    size_t count = 0;
    size_t path_bytes = 0;
    bool complete = false;

    void read() {
        count = path_bytes = 0;
        complete = visit_maps(
            [](void* context, const MapsLine& line) {
                auto* to = static_cast<Visits*>(context);
                to->visits[to->count++] = {line, to->path_bytes};
                strcpy(to->paths + to->path_bytes, line.path);
                to->path_bytes += strlen(line.path) + 1;
            },
            this);
    }
};

PlainText before, after;
Visits visits;

std::vector<Line> parse_plainly(const PlainText& plain) {
    std::istringstream file(std::string(plain.text, plain.length));
    std::vector<Line> lines;
    for (std::string text; std::getline(file, text);) {
        Line line = {};
        char flags[5];
        int path_at = 0;
        sscanf(text.c_str(), "%lx-%lx %4s %lx %lx:%lx %lu %n", &line.start, &line.end, flags, &line.offset,
               &line.major, &line.minor, &line.inode, &path_at);
        line.protection = (flags[0] == 'r' ? PROT_READ : 0) | (flags[1] == 'w' ? PROT_WRITE : 0) |
                          (flags[2] == 'x' ? PROT_EXEC : 0);
        line.shared = flags[3] == 's';
        line.path = text.substr(static_cast<size_t>(path_at));
        lines.push_back(line);
    }
    return lines;
}

std::vector<Line> visited_lines() {
    std::vector<Line> lines;
    for (size_t i = 0; i < visits.count; ++i) {
        const auto& [line, path_at] = visits.visits[i];
        lines.push_back({line.start, line.end, line.offset, line.device >> 20, line.device & 0xfffff,
                         line.inode, line.protection, line.shared, visits.paths + path_at});
    }
    return lines;
}

// Returns how many there were.
size_t expect_equal_readings() {
    before.read();
    visits.read();
    after.read();
    EXPECT_TRUE(before == after) << "something was mapped meanwhile: the readings can't be compared";
    EXPECT_TRUE(visits.complete);
    EXPECT_EQ(visited_lines(), parse_plainly(before));
    return visits.count;
}

TEST(Seeds, are_what_the_kernel_lists) { expect_equal_readings(); }

TEST(Seeds, are_whole_where_there_are_many) {
    constexpr size_t kPages = 4000;  // of changing protection, so that none are merged
    auto* memory =
        static_cast<uint8_t*>(mmap(nullptr, kPages * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    for (size_t i = 0; i < kPages; i += 2) mprotect(memory + i * 4096, 4096, PROT_READ | PROT_WRITE);
    EXPECT_GT(expect_equal_readings(), kPages);
    munmap(memory, kPages * 4096);
}

TEST(Seeds, hold_names_of_any_form_and_length) {
    const test::PrivateFolder folder;
    std::vector<std::string> names = {"with space", " (deleted)", "new\nline", "tab\there",
                                      "-p 0000 00:00 0"};
    std::string deep = folder.path();
    for (int i = 0; i < 15; ++i) {
        deep += "/" + std::string(250, static_cast<char>('a' + i));
        ASSERT_EQ(mkdir(deep.c_str(), 0700), 0);
        names.push_back(deep.substr(folder.path().size() + 1) + "/file");
    }
    std::vector<void*> mapped;
    for (size_t i = 0; i < names.size(); ++i) {
        const int fd = open((folder.path() + "/" + names[i]).c_str(), O_RDWR | O_CREAT, 0600);
        ASSERT_GE(fd, 0) << names[i];
        ASSERT_EQ(ftruncate(fd, 8192), 0);
        mapped.push_back(mmap(nullptr, 4096, PROT_READ, i % 2 == 0 ? MAP_SHARED : MAP_PRIVATE, fd, 4096));
        close(fd);
    }
    unlink((folder.path() + "/with space").c_str());
    expect_equal_readings();
    for (void* address : mapped) munmap(address, 4096);
}

TEST(Seeds, become_events) {
    const test::PrivateFolder folder;
    Channel channel;
    ASSERT_TRUE(channel.create(folder.configuration(64), Parent()));
    emit_seed(channel, {0x1000, 0x3000, 0x5000, 8 << 20 | 3, 42, PROT_READ | PROT_EXEC, false, "/lib/x.so"},
              7);
    emit_seed(channel, {0x4000, 0x5000, 0, 0, 0, PROT_READ | PROT_WRITE, true, ""}, 7);
    EXPECT_EQ(channel.header()->seed_events, 2u);
    const std::vector<wire::Event> events = test::recorded_events(channel.header());
    ASSERT_EQ(events.size(), 2u);
    const wire::Event& file = events[0];
    EXPECT_EQ(file.operation, static_cast<uint8_t>(wire::Operation::kSeed));
    EXPECT_EQ(file.arg0, 0x1000u);
    EXPECT_EQ(file.result, 0x1000u);
    EXPECT_EQ(file.arg1, 0x2000u);
    EXPECT_EQ(file.arg2, uint64_t{PROT_READ | PROT_EXEC});
    EXPECT_EQ(file.arg3, uint64_t{MAP_PRIVATE});
    EXPECT_EQ(file.arg4, uint64_t{8 << 20 | 3});
    EXPECT_EQ(file.arg5, 0x5000u);
    EXPECT_EQ(file.extra, 42u);
    EXPECT_EQ(file.thread_id, 7u);
    EXPECT_NE(file.text, 0u);
    const wire::Event& shared = events[1];
    EXPECT_EQ(shared.arg3, uint64_t{MAP_SHARED | MAP_ANONYMOUS});
    EXPECT_EQ(shared.text, 0u);
}

}  // namespace
}  // namespace offheap::record
