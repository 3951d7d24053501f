#include "preload/record/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "native/wire/heap.h"
#include "preload/record/sections.h"
#include "preload/runtime/clock.h"
#include "preload/runtime/raw_syscall.h"
#include "preload/runtime/text.h"

namespace offheap::record {

using namespace offheap::runtime;

namespace {

constexpr uint64_t kReserveStepBytes = 1u << 18;

constexpr uint64_t kReserveStepChunks = 16;

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

// The inode in "pid:[4026531836]": processes of one namespace show the same.
uint64_t pid_namespace() {
    char link[64];
    const long bytes =
        raw_syscall(kSysReadlink, as_argument("/proc/self/ns/pid"), as_argument(link), sizeof link - 1);
    uint64_t inode = 0;
    for (long at = 0; at < bytes; ++at) {
        if (link[at] >= '0' && link[at] <= '9') inode = inode * 10 + uint64_t(link[at] - '0');
    }
    return inode;
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

// Several threads may back the same at once: twice is harmless, and the largest end stands.
void raise(uint64_t* end, uint64_t seen, uint64_t target) {
    while (seen < target &&
           !__atomic_compare_exchange_n(end, &seen, target, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

uint64_t resource_limit(long resource) {
    struct rlimit limit;
    if (is_error(raw_syscall(kSysPrlimit64, 0, resource, 0, as_argument(&limit)))) return RLIM_INFINITY;
    return limit.rlim_cur;
}

// How large the file may be. Where addresses are short the program needs them itself; and who passes
// RLIMIT_FSIZE, if only by ftruncate(), is sent SIGXFSZ.
uint64_t file_limit_bytes() {
    const uint64_t addresses = resource_limit(RLIMIT_AS);
    const uint64_t share = addresses == RLIM_INFINITY ? addresses : addresses / 8;
    const uint64_t file = resource_limit(RLIMIT_FSIZE);
    return share < file ? share : file;
}

uint64_t at_most(uint64_t limit, uint64_t value) { return value < limit ? value : limit; }

uint64_t ring_first_bytes(const wire::Header& layout) {
    return at_most(kRingFirstBytes, layout.ring_capacity * sizeof(wire::Event));
}
uint64_t nodes_first_bytes(const wire::Header& layout) {
    return at_most(kNodesFirstBytes, layout.nodes_capacity * sizeof(wire::StackNode));
}
uint64_t index_first_entries(const wire::Header& layout) { return 2ULL << layout.index_bits; }

// Sizes the file, backs what a channel has from the start and maps it: its address, or an error.
long map_file(long fd, const wire::Header& layout) {
    const long file_bytes = static_cast<long>(layout.file_bytes);
    const auto back = [fd](uint64_t offset, uint64_t bytes) {
        return !is_error(
            raw_syscall(kSysFallocate, fd, 0, static_cast<long>(offset), static_cast<long>(bytes)));
    };
    long address = -ENOMEM;
    if (!is_error(raw_syscall(kSysFtruncate, fd, file_bytes)) &&
        back(0, layout.text_offset + kTextFirstBytes) && back(layout.ring_offset, ring_first_bytes(layout)) &&
        back(layout.index_offset, index_first_entries(layout) * sizeof(uint32_t)) &&
        back(layout.nodes_offset, nodes_first_bytes(layout))) {
        address = raw_syscall(kSysMmap, 0, file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    if (is_error(address)) raw_syscall(kSysFtruncate, fd, 0);
    return address;
}

}  // namespace

long Channel::make_file(const char* directory, uint64_t& channel_id) {
    const uint64_t process = static_cast<uint64_t>(raw_syscall(kSysGetpid));
    long fd = -EEXIST;
    for (int attempt = 0; attempt < 8 && fd == -EEXIST; ++attempt) {
        channel_id = clock_ns(kClockRealtime) ^ process << 48 ^ static_cast<uint64_t>(attempt);
        TextWriter path(path_, sizeof path_);
        path.text(directory).text("/").decimal(process).text("-").hexadecimal(channel_id).text(".channel");
        if (!path.complete()) return -ENAMETOOLONG;
        fd = raw_syscall(kSysOpen, as_argument(path_), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                         0600);
    }
    return fd;
}

bool Channel::open_file(const Configuration& configuration) {
    raw_syscall(kSysMkdir, as_argument(configuration.directory), 0700);
    if (!is_private_folder(configuration.directory)) return false;
    uint64_t channel_id = 0;
    const long fd = make_file(configuration.directory, channel_id);
    if (is_error(fd)) return false;

    wire::Header layout = {};
    long address = -ENOMEM;
    const uint64_t limit_bytes = file_limit_bytes();
    const uint64_t free_bytes = file_system_free_bytes(configuration.directory);
    uint64_t room_bytes = free_bytes < kMostRoomBytes ? free_bytes : kMostRoomBytes;
    do {
        layout = lay_out_sections(configuration.ring_events, configuration.heap_chunks, room_bytes);
        if (layout.file_bytes <= limit_bytes) address = map_file(fd, layout);
        room_bytes /= 2;  // the limits may leave less than they say
    } while (is_error(address) && room_bytes >= kLeastRoomBytes);
    // No descriptor stays open: programs that close all of theirs, or expect certain numbers, must not notice
    // us.
    raw_syscall(kSysClose, fd);
    if (is_error(address)) {
        raw_syscall(kSysUnlink, as_argument(path_));
        return false;
    }
    const long file_bytes = static_cast<long>(layout.file_bytes);
    // A forked child must never write here; it makes a channel of its own (process_page.h).
    raw_syscall(kSysMadvise, address, file_bytes, MADV_DONTFORK);
    // The file is there to be read; a core file would hold it again, and its holes.
    raw_syscall(kSysMadvise, address, file_bytes, MADV_DONTDUMP);

    layout.layout_hash = wire::layout_hash();
    layout.channel_id = channel_id;
    layout.awaited_process_id = configuration.collector;
    layout.ring_reserved = ring_first_bytes(layout);
    layout.nodes_reserved = nodes_first_bytes(layout);
    layout.index_reserved = index_first_entries(layout);
    layout.nodes_used = 1;  // node 0 is "no stack"
    layout.text_used = 8;   // offset 0 is "no text"
    header_ = reinterpret_cast<wire::Header*>(address);
    bytes_ = layout.file_bytes;
    *header_ = layout;
    TextWriter(reinterpret_cast<char*>(&header_->version0), 16).text(wire::kVersion);
    text_reserved_ = kTextFirstBytes;
    backlog_reserved_ = 0;
    for (uint64_t& lanes : lanes_backed_) lanes = 0;
    for (uint32_t chunk = 0; chunk < layout.chunks_capacity; ++chunk) wire::give_chunk_back(header_, chunk);
    if (layout.chunks_capacity == 0) degrade(wire::Degradation::kHeapUnavailable);
    return true;
}

void Channel::describe_process() {
    header_->process_id = static_cast<uint32_t>(raw_syscall(kSysGetpid));
    header_->parent_process_id = static_cast<uint32_t>(raw_syscall(kSysGetppid));
    header_->process_start_ticks = process_start_ticks();
    header_->pid_namespace = pid_namespace();
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
    raise(&header_->ring_reserved, reserved, target);
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

bool Channel::reserve_lane(uint32_t lane) {
    uint64_t& lanes = lanes_backed_[lane / 64];
    const uint64_t bit = 1ULL << lane % 64;
    if ((__atomic_load_n(&lanes, __ATOMIC_RELAXED) & bit) != 0) return true;
    if (!make_backed(header_->lanes_offset + lane * sizeof(wire::Lane), sizeof(wire::Lane)) ||
        !make_backed(header_->windows_offset + uint64_t{lane} * wire::kWindowBytes, wire::kWindowBytes)) {
        degrade(wire::Degradation::kChannelSpaceExhausted);
        return false;
    }
    __atomic_fetch_or(&lanes, bit, __ATOMIC_RELAXED);
    return true;
}

bool Channel::reserve_chunk(uint32_t chunk) {
    const uint64_t backed = __atomic_load_n(&header_->chunks_backed, __ATOMIC_RELAXED);
    if (chunk < backed) return true;
    const uint64_t ahead = round_up(uint64_t{chunk} + 1, kReserveStepChunks);
    const uint64_t target = ahead < header_->chunks_capacity ? ahead : header_->chunks_capacity;
    if (!make_backed(header_->chunks_offset + backed * wire::kChunkBytes,
                     (target - backed) * wire::kChunkBytes)) {
        degrade(wire::Degradation::kChannelSpaceExhausted);
        return false;
    }
    raise(&header_->chunks_backed, backed, target);
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
