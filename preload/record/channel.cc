#include "preload/record/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "preload/runtime/clock.h"
#include "preload/runtime/raw_syscall.h"
#include "preload/runtime/text.h"

namespace offheap::record {

using namespace offheap::runtime;

namespace {

constexpr uint64_t kSites = 256;
constexpr uint64_t kTextBytes = 1u << 20;
constexpr uint64_t kNodes = 1u << 17;
// The backlog holds what is live in a process that nobody collects; it is backed by memory only as far as it
// is used.
constexpr uint64_t kBacklogEvents = 1u << 18;
constexpr uint64_t kReserveStepBytes = 1u << 18;

constexpr uint64_t round_up(uint64_t value, uint64_t step) { return (value + step - 1) / step * step; }

uint64_t file_system_free_bytes(const char* path) {
    struct statfs info;
    if (is_error(raw_syscall(kSysStatfs, as_argument(path), as_argument(&info)))) return 0;
    return static_cast<uint64_t>(info.f_bavail) * static_cast<uint64_t>(info.f_bsize);
}

// The folder must be ours alone: its files are mapped by the target, and their truncation would kill it.
bool is_private_folder(const char* path) {
    struct stat info;
    if (is_error(raw_syscall(kSysNewfstatat, AT_FDCWD, as_argument(path), as_argument(&info),
                             AT_SYMLINK_NOFOLLOW))) {
        return false;
    }
    return S_ISDIR(info.st_mode) && info.st_uid == static_cast<uid_t>(raw_syscall(kSysGetuid)) &&
           (info.st_mode & 022) == 0;
}

uint64_t process_start_ticks() {
    char text[1024];
    const long fd = raw_syscall(kSysOpen, as_argument("/proc/self/stat"), O_RDONLY | O_CLOEXEC);
    if (is_error(fd)) return 0;
    const long bytes = raw_syscall(kSysRead, fd, as_argument(text), sizeof text - 1);
    raw_syscall(kSysClose, fd);
    if (bytes <= 0) return 0;
    long at = bytes;
    while (at > 0 && text[at - 1] != ')') --at;  // the command's name may hold spaces and brackets
    for (int field = 2; at < bytes; ++at) {
        if (text[at] != ' ') continue;
        if (++field < 22) continue;
        uint64_t value = 0;
        for (++at; at < bytes && text[at] >= '0' && text[at] <= '9'; ++at)
            value = value * 10 + uint64_t(text[at] - '0');
        return value;
    }
    return 0;
}

}  // namespace

bool Channel::open_file(const Configuration& configuration) {
    raw_syscall(kSysMkdir, as_argument(configuration.directory), 0700);
    if (!is_private_folder(configuration.directory)) return false;

    wire::Header layout = {};
    const uint64_t free_bytes = file_system_free_bytes(configuration.directory);
    layout.ring_capacity = configuration.ring_events;
    layout.nodes_capacity = kNodes;
    // A small file system (a container's 64 KiB /dev/shm) gets a small channel rather than none.
    while (layout.ring_capacity > 64 && layout.ring_capacity * sizeof(wire::Event) > free_bytes / 3)
        layout.ring_capacity /= 2;
    while (layout.nodes_capacity > 1024 && layout.nodes_capacity * 24 > free_bytes / 3)
        layout.nodes_capacity /= 2;
    layout.index_capacity = layout.nodes_capacity * 2;
    layout.sites_capacity = kSites;
    layout.text_capacity = kTextBytes;
    layout.sites_offset = wire::kPageBytes;
    layout.text_offset = layout.sites_offset + kSites * sizeof(wire::Site);
    layout.ring_offset = layout.text_offset + kTextBytes;
    layout.index_offset =
        layout.ring_offset + round_up(layout.ring_capacity * sizeof(wire::Event), wire::kPageBytes);
    layout.nodes_offset =
        layout.index_offset + round_up(layout.index_capacity * sizeof(uint32_t), wire::kPageBytes);
    layout.backlog_offset =
        layout.nodes_offset + round_up(layout.nodes_capacity * sizeof(wire::StackNode), wire::kPageBytes);
    layout.backlog_capacity = kBacklogEvents;
    while (layout.backlog_capacity > 1024 && layout.backlog_capacity * sizeof(wire::Event) > free_bytes / 3)
        layout.backlog_capacity /= 2;
    layout.file_bytes = layout.backlog_offset + layout.backlog_capacity * sizeof(wire::Event);

    const uint64_t process = static_cast<uint64_t>(raw_syscall(kSysGetpid));
    long fd = -EEXIST;
    for (int attempt = 0; attempt < 8 && fd == -EEXIST; ++attempt) {
        layout.channel_id = clock_ns(kClockRealtime) ^ process << 48 ^ static_cast<uint64_t>(attempt);
        TextWriter path(path_, sizeof path_);
        path.text(configuration.directory)
            .text("/")
            .decimal(process)
            .text("-")
            .hexadecimal(layout.channel_id);
        path.text(".channel");
        if (!path.complete()) return false;
        fd = raw_syscall(kSysOpen, as_argument(path_), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                         0600);
    }
    if (is_error(fd)) return false;

    const uint64_t ring_first = layout.ring_capacity * sizeof(wire::Event) < kReserveStepBytes
                                    ? layout.ring_capacity * sizeof(wire::Event)
                                    : kReserveStepBytes;
    const uint64_t text_first = 1u << 16;
    const uint64_t nodes_first = 1u << 16;
    const auto back = [fd](uint64_t offset, uint64_t bytes) {
        return !is_error(
            raw_syscall(kSysFallocate, fd, 0, static_cast<long>(offset), static_cast<long>(bytes)));
    };
    long address = -ENOMEM;
    if (!is_error(raw_syscall(kSysFtruncate, fd, static_cast<long>(layout.file_bytes))) &&
        back(0, layout.text_offset + text_first) && back(layout.ring_offset, ring_first) &&
        back(layout.index_offset, layout.nodes_offset - layout.index_offset + nodes_first)) {
        address = raw_syscall(kSysMmap, 0, static_cast<long>(layout.file_bytes), PROT_READ | PROT_WRITE,
                              MAP_SHARED, fd, 0);
    }
    // No descriptor stays open: programs that close all of theirs, or expect certain numbers, must not notice
    // us.
    raw_syscall(kSysClose, fd);
    if (is_error(address)) {
        raw_syscall(kSysUnlink, as_argument(path_));
        return false;
    }
    // A forked child must never write here; it makes a channel of its own (process_page.h).
    raw_syscall(kSysMadvise, address, static_cast<long>(layout.file_bytes), MADV_DONTFORK);

    layout.layout_hash = wire::layout_hash();
    layout.ring_reserved = ring_first;
    layout.nodes_reserved = nodes_first;
    layout.nodes_used = 1;  // node 0 is "no stack"
    layout.text_used = 8;   // offset 0 is "no text"
    header_ = reinterpret_cast<wire::Header*>(address);
    bytes_ = layout.file_bytes;
    *header_ = layout;
    TextWriter(reinterpret_cast<char*>(&header_->version0), 16).text(wire::kVersion);
    text_reserved_ = text_first;
    return true;
}

void Channel::describe_process() {
    header_->process_id = static_cast<uint32_t>(raw_syscall(kSysGetpid));
    header_->parent_process_id = static_cast<uint32_t>(raw_syscall(kSysGetppid));
    header_->process_start_ticks = process_start_ticks();
    header_->clock = static_cast<uint32_t>(has_invariant_counter() ? wire::Clock::kTimeStampCounter
                                                                   : wire::Clock::kMonotonicNs);
    header_->start_unix_ns = clock_ns(kClockRealtime);
    header_->start_monotonic_ns = clock_ns(kClockMonotonic);
    header_->start_clock = now();

    char command[4096];
    const long fd = raw_syscall(kSysOpen, as_argument("/proc/self/cmdline"), O_RDONLY | O_CLOEXEC);
    if (is_error(fd)) return;
    const long bytes = raw_syscall(kSysRead, fd, as_argument(command), sizeof command);
    raw_syscall(kSysClose, fd);
    if (bytes <= 0) return;
    header_->command_text = add_text(command, static_cast<uint64_t>(bytes));
    header_->command_bytes = static_cast<uint32_t>(bytes);
}

bool Channel::create(const Configuration& configuration, const Parent& parent) {
    if (!open_file(configuration)) return false;
    stacks_ = wire::StackTree(header_);
    header_->beginning =
        static_cast<uint32_t>(parent.forked ? wire::Beginning::kFork : wire::Beginning::kExec);
    header_->parent_channel_id = parent.channel_id;
    header_->parent_position = parent.position;
    describe_process();
    header_->exit_status = wire::kExitStatusUnknown;
    // The magic comes last: a collector that finds the file earlier sees one that isn't ready.
    __atomic_store_n(&header_->magic, wire::kMagic, __ATOMIC_RELEASE);
    return true;
}

uint64_t Channel::now() const {
    return header_->clock == static_cast<uint32_t>(wire::Clock::kTimeStampCounter)
               ? read_time_stamp_counter()
               : clock_ns(kClockMonotonic);
}

bool Channel::make_backed(uint64_t offset, uint64_t bytes) {
    const uint64_t start = offset / wire::kPageBytes * wire::kPageBytes;
    const long address = static_cast<long>(this->address() + start);
    const long length = static_cast<long>(round_up(offset + bytes, wire::kPageBytes) - start);
    constexpr int kMadvPopulateWrite =
        23;  // Linux 5.14; reports a full file system instead of raising SIGBUS
    const long result = raw_syscall(kSysMadvise, address, length, kMadvPopulateWrite);
    if (result == 0) return true;
    if (result != -EINVAL) return false;
    const long fd = raw_syscall(kSysOpen, as_argument(path_), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (is_error(fd)) return false;
    const bool backed = !is_error(raw_syscall(kSysFallocate, fd, 0, static_cast<long>(start), length));
    raw_syscall(kSysClose, fd);
    return backed;
}

bool Channel::reserve_ring(uint64_t position) {
    const uint64_t reserved = __atomic_load_n(&header_->ring_reserved, __ATOMIC_RELAXED);
    const uint64_t total = header_->ring_capacity * sizeof(wire::Event);
    const uint64_t needed = (position % header_->ring_capacity + 1) * sizeof(wire::Event);
    if (needed <= reserved) return true;
    uint64_t target = reserved + kReserveStepBytes;
    if (target > total) target = total;
    if (!make_backed(header_->ring_offset + reserved, target - reserved)) {
        degrade(wire::Degradation::kChannelSpaceExhausted);
        return false;
    }
    // Several threads may come here at once; backing twice is harmless and the largest value stands.
    uint64_t seen = reserved;
    while (seen < target && !__atomic_compare_exchange_n(&header_->ring_reserved, &seen, target, true,
                                                         __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return true;
}

bool Channel::reserve_node(uint64_t node) {
    const uint64_t reserved = __atomic_load_n(&header_->nodes_reserved, __ATOMIC_RELAXED);
    const uint64_t needed = (node + 1) * sizeof(wire::StackNode);
    if (needed <= reserved) return true;
    const uint64_t total = header_->nodes_capacity * sizeof(wire::StackNode);
    uint64_t target = round_up(needed, 1u << 16);
    if (target > total) target = total;
    if (!make_backed(header_->nodes_offset + reserved, target - reserved)) return false;
    uint64_t seen = reserved;
    while (seen < target && !__atomic_compare_exchange_n(&header_->nodes_reserved, &seen, target, true,
                                                         __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return true;
}

// Under the consumer lock, so by one thread at a time.
bool Channel::reserve_backlog(uint64_t slot) {
    const uint64_t needed = (slot + 1) * sizeof(wire::Event);
    if (needed <= backlog_reserved_) return true;
    const uint64_t total = header_->backlog_capacity * sizeof(wire::Event);
    const uint64_t target = needed + kReserveStepBytes < total ? needed + kReserveStepBytes : total;
    if (!make_backed(header_->backlog_offset + backlog_reserved_, target - backlog_reserved_)) {
        degrade(wire::Degradation::kChannelSpaceExhausted);
        return false;
    }
    backlog_reserved_ = target;
    return true;
}

// Entries are [length, 2 bytes][text]. Written once, before the event that names it is committed.
uint32_t Channel::add_text(const char* text, uint64_t length) {
    if (length > 0xffff) length = 0xffff;
    const uint64_t bytes = 2 + length;
    const uint64_t offset = __atomic_fetch_add(&header_->text_used, bytes, __ATOMIC_RELAXED);
    if (offset + bytes > header_->text_capacity) {
        degrade(wire::Degradation::kTextSpaceExhausted);
        return 0;
    }
    const uint64_t reserved = __atomic_load_n(&text_reserved_, __ATOMIC_RELAXED);
    if (offset + bytes > reserved) {
        uint64_t target = round_up(offset + bytes, 1u << 16);
        if (target > header_->text_capacity) target = header_->text_capacity;
        if (!make_backed(header_->text_offset + reserved, target - reserved)) {
            degrade(wire::Degradation::kTextSpaceExhausted);
            return 0;
        }
        __atomic_store_n(&text_reserved_, target, __ATOMIC_RELAXED);
    }
    auto* entry = reinterpret_cast<uint8_t*>(header_) + header_->text_offset + offset;
    entry[0] = static_cast<uint8_t>(length);
    entry[1] = static_cast<uint8_t>(length >> 8);
    for (uint64_t i = 0; i < length; ++i) entry[2 + i] = static_cast<uint8_t>(text[i]);
    return static_cast<uint32_t>(offset);
}

void Channel::remove() { raw_syscall(kSysUnlink, as_argument(path_)); }

void Channel::degrade(wire::Degradation reason) {
    __atomic_fetch_or(&header_->degraded, 1ULL << static_cast<unsigned>(reason), __ATOMIC_RELAXED);
}

}  // namespace offheap::record
