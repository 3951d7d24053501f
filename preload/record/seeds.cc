#include "preload/record/seeds.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "preload/record/emit.h"
#include "preload/runtime/raw_syscall.h"
#include "preload/runtime/text.h"

namespace offheap::record {

using namespace offheap::runtime;

namespace {

// start-up and new children are single-threaded, and no path in /proc/self/maps is longer than a page
char line_buffer[2 * 4096 + 512];

class Parser {
  public:
    explicit Parser(const char* at) : at_(at) {}

    uint64_t hexadecimal() {
        uint64_t value = 0;
        for (;; ++at_) {
            if (*at_ >= '0' && *at_ <= '9') {
                value = value << 4 | static_cast<uint64_t>(*at_ - '0');
            } else if (*at_ >= 'a' && *at_ <= 'f') {
                value = value << 4 | static_cast<uint64_t>(*at_ - 'a' + 10);
            } else {
                return value;
            }
        }
    }

    uint64_t decimal() {
        uint64_t value = 0;
        for (; *at_ >= '0' && *at_ <= '9'; ++at_) value = value * 10 + static_cast<uint64_t>(*at_ - '0');
        return value;
    }

    char next() { return *at_ != 0 ? *at_++ : '\0'; }
    void skip_spaces() {
        while (*at_ == ' ') ++at_;
    }
    const char* rest() const { return at_; }

  private:
    const char* at_;
};

MapsLine parse(const char* text) {
    MapsLine line = {};
    Parser parser(text);
    line.start = parser.hexadecimal();
    parser.next();
    line.end = parser.hexadecimal();
    parser.next();
    if (parser.next() == 'r') line.protection |= PROT_READ;
    if (parser.next() == 'w') line.protection |= PROT_WRITE;
    if (parser.next() == 'x') line.protection |= PROT_EXEC;
    line.shared = parser.next() == 's';
    parser.next();
    line.offset = parser.hexadecimal();
    parser.next();
    const uint64_t major = parser.hexadecimal();
    parser.next();
    line.device = major << 20 | parser.hexadecimal();
    parser.next();
    line.inode = parser.decimal();
    parser.skip_spaces();
    line.path = parser.rest();
    return line;
}

}  // namespace

bool visit_maps(void (*visit)(void* context, const MapsLine& line), void* context) {
    const long fd = raw_syscall(kSysOpen, as_argument("/proc/self/maps"), O_RDONLY | O_CLOEXEC);
    if (is_error(fd)) return false;
    bool complete = true;
    uint64_t filled = 0;
    for (;;) {
        const long got =
            raw_syscall(kSysRead, fd, as_argument(line_buffer + filled), sizeof line_buffer - 1 - filled);
        if (got <= 0) {
            complete = got == 0 && filled == 0;
            break;
        }
        filled += static_cast<uint64_t>(got);
        uint64_t start = 0;
        for (uint64_t i = 0; i < filled; ++i) {
            if (line_buffer[i] != '\n') continue;
            line_buffer[i] = 0;
            visit(context, parse(line_buffer + start));
            start = i + 1;
        }
        for (uint64_t i = start; i < filled; ++i) line_buffer[i - start] = line_buffer[i];
        filled -= start;
    }
    raw_syscall(kSysClose, fd);
    return complete;
}

void emit_seed(Channel& channel, const MapsLine& line, uint32_t thread_id) {
    wire::Event event = {};
    event.operation = static_cast<uint8_t>(wire::Operation::kSeed);
    event.phase = static_cast<uint8_t>(wire::Phase::kComplete);
    event.arg0 = line.start;
    event.arg1 = line.end - line.start;
    event.arg2 = static_cast<uint64_t>(line.protection);
    event.arg3 = static_cast<uint64_t>(line.shared ? MAP_SHARED : MAP_PRIVATE) |
                 static_cast<uint64_t>(line.inode == 0 ? MAP_ANONYMOUS : 0);
    event.arg4 = line.device;
    event.arg5 = line.offset;
    event.result = line.start;
    event.extra = line.inode;
    event.thread_id = thread_id;
    event.generation = static_cast<uint32_t>(channel.header()->generation);
    if (line.path[0] != 0) event.text = channel.add_text(line.path, text_length(line.path));
    if (emit(channel, event) == kLost) channel.degrade(wire::Degradation::kSeedIncomplete);
    ++channel.header()->seed_events;
}

}  // namespace offheap::record
