#include "native/addon/perf_witness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <string>

namespace offheap::addon {
namespace {

// A power of two, as the kernel asks. With its header it is what a user may lock for each processor, unless
// somebody has raised it; where others have locked some, a smaller one may do.
constexpr size_t kRingBytes = 128 * 4096;
constexpr size_t kLeastRingBytes = 32 * 4096;
// Above it users are refused.
constexpr int kParanoidOfUsers = 2;
// Each thread that is there already takes a file for each processor.
constexpr size_t kMostEvents = 512;
// Threads that appear while the others are being opened may or may not be listened to: all begins anew.
constexpr int kAttempts = 8;
constexpr char kMainStack[] = "[stack]";

// Two readings of the clocks err by some 100 ns each.
constexpr uint64_t kLeastBaselineNs = 10'000'000;

// A record of an area: the header, then these, then the name, and at its end the time.
struct AreaRecord {
    uint32_t process_id, thread_id;
    uint64_t start, bytes, offset;
    uint32_t major, minor;
    uint64_t inode, inode_generation;
    uint32_t protection, flags;
};

struct LostRecord {
    uint64_t id, count;
};

Failure refused(std::string why) {
    return {kWitnessRefused, "the kernel can't be asked what is mapped: " + std::move(why)};
}

// A setting of the kernel's; empty where it can't be read.
std::string setting(const char* name) {
    char text[16] = {};
    const int file = open((std::string("/proc/sys/kernel/") + name).c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return {};
    const ssize_t count = read(file, text, sizeof text - 1);
    close(file);
    const std::string value(text, count < 0 ? 0 : static_cast<size_t>(count));
    return value.substr(0, value.find('\n'));
}

bool is_denied(int error) { return error == EACCES || error == EPERM; }

Failure refused_event(int error) {
    if (is_denied(error)) {
        const std::string paranoid = setting("perf_event_paranoid");
        // Debian's kernels know 3 and Android's too: nothing without privileges.
        if (atoi(paranoid.c_str()) > kParanoidOfUsers) {
            return refused("kernel.perf_event_paranoid is " + paranoid +
                           "; set it to 2, or run with CAP_PERFMON or as root");
        }
        return refused(
            "the process may not be examined by you, or a seccomp filter forbids perf events; run as that "
            "user, with CAP_PERFMON and CAP_SYS_PTRACE, or as root");
    }
    if (error == EMFILE) return refused("too many open files; raise ulimit -n");
    if (error == ENOSYS) return refused("it has no perf events");
    return refused(strerror(error));
}

Failure refused_ring(int error) {
    if (!is_denied(error)) return refused(strerror(error));
    return refused("others have taken what a user may lock for it (kernel.perf_event_mlock_kb is " +
                   setting("perf_event_mlock_kb") + "); raise it, or run as root");
}

std::vector<int> threads_of(int process_id) {
    std::vector<int> ids;
    DIR* tasks = opendir(("/proc/" + std::to_string(process_id) + "/task").c_str());
    if (tasks == nullptr) return ids;
    while (const dirent* entry = readdir(tasks)) {
        if (const int id = atoi(entry->d_name); id > 0) ids.push_back(id);
    }
    closedir(tasks);
    std::sort(ids.begin(), ids.end());
    return ids;
}

// An event that counts nothing and brings records of mappings. Negative with `errno` where the kernel
// refuses.
int open_event(int thread_id, int processor) {
    perf_event_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.size = sizeof attributes;
    attributes.type = PERF_TYPE_SOFTWARE;
    attributes.config = PERF_COUNT_SW_DUMMY;
    attributes.mmap = 1;
    attributes.mmap2 = 1;
    attributes.mmap_data = 1;
    attributes.sample_id_all = 1;
    attributes.sample_type = PERF_SAMPLE_TIME;
    attributes.use_clockid = 1;
    attributes.clockid = CLOCK_MONOTONIC;
    attributes.comm = 1;
    attributes.comm_exec = 1;
    // Without it an unprivileged user is refused. Records come all the same.
    attributes.exclude_kernel = 1;
    attributes.exclude_hv = 1;
    attributes.inherit = 1;
    attributes.inherit_thread = 1;
    const auto open = [&] {
        return static_cast<int>(
            syscall(SYS_perf_event_open, &attributes, thread_id, processor, -1, PERF_FLAG_FD_CLOEXEC));
    };
    const int event = open();
    if (event >= 0 || errno != EINVAL) return event;
    // Before Linux 5.13 children inherit too; their records are told by their process.
    attributes.inherit_thread = 0;
    return open();
}

void copy_from_ring(const uint8_t* data, size_t ring_bytes, uint64_t position, void* to, size_t bytes) {
    const size_t at = position % ring_bytes;
    const size_t first = std::min(bytes, ring_bytes - at);
    memcpy(to, data + at, first);
    memcpy(static_cast<uint8_t*>(to) + first, data, bytes - first);
}

}  // namespace

MaybeFailure PerfWitness::open(int process_id, EventTime time) {
    process_id_ = process_id;
    time_ = time;
    earlier_ = later_ = sample_clocks();
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        const std::vector<int> before = threads_of(process_id);
        if (before.empty()) return refused("the process has ended");
        if (MaybeFailure failure = listen(before)) {
            close();
            return failure;
        }
        const std::vector<int> after = threads_of(process_id);
        if (std::includes(before.begin(), before.end(), after.begin(), after.end())) return std::nullopt;
        close();
    }
    return refused("threads appear too fast to be listened to one by one");
}

MaybeFailure PerfWitness::listen(const std::vector<int>& thread_ids) {
    const auto processors = static_cast<int>(sysconf(_SC_NPROCESSORS_CONF));
    const size_t header_bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    if (thread_ids.size() * static_cast<size_t>(processors) > kMostEvents) {
        return refused(std::to_string(thread_ids.size()) + " threads on " + std::to_string(processors) +
                       " processors take too many files; ask before the threads are there");
    }
    for (int processor = 0; processor < processors; ++processor) {
        int first = -1;
        for (const int thread_id : thread_ids) {
            const int event = open_event(thread_id, processor);
            // The thread has ended, or the processor is switched off.
            if (event < 0 && (errno == ESRCH || errno == ENODEV)) continue;
            if (event < 0) return refused_event(errno);
            events_.push_back(event);
            if (first >= 0) {
                if (ioctl(event, PERF_EVENT_IOC_SET_OUTPUT, first) != 0) return refused_ring(errno);
                continue;
            }
            first = event;
            void* ring = MAP_FAILED;
            size_t bytes = kRingBytes;
            for (; bytes >= kLeastRingBytes && ring == MAP_FAILED; bytes /= 2) {
                ring = mmap(nullptr, header_bytes + bytes, PROT_READ | PROT_WRITE, MAP_SHARED, event, 0);
            }
            if (ring == MAP_FAILED) return refused_ring(errno);
            rings_.push_back(static_cast<uint8_t*>(ring));
        }
    }
    if (rings_.empty()) return refused("the process has ended");
    return std::nullopt;
}

WitnessedMappings PerfWitness::read() {
    WitnessedMappings found;
    for (uint8_t* ring : rings_) read_ring(ring, found);
    if (time_ == EventTime::kTsc) convert_times(found);
    found.lost = lost_;
    found.replaced = replaced_;
    return found;
}

void PerfWitness::read_ring(uint8_t* ring, WitnessedMappings& found) {
    auto* page = reinterpret_cast<perf_event_mmap_page*>(ring);
    const uint8_t* data = ring + sysconf(_SC_PAGESIZE);
    const size_t ring_bytes = page->data_size;
    const uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
    uint64_t position = page->data_tail;
    while (position < head) {
        perf_event_header header;
        copy_from_ring(data, ring_bytes, position, &header, sizeof header);
        // The kernel writes no such record.
        if (header.size < sizeof header) break;
        const uint64_t body = position + sizeof header;
        position += header.size;
        if (header.type == PERF_RECORD_LOST) {
            LostRecord lost;
            copy_from_ring(data, ring_bytes, body, &lost, sizeof lost);
            lost_ += lost.count;
        }
        if (header.type == PERF_RECORD_COMM && (header.misc & PERF_RECORD_MISC_COMM_EXEC) != 0) {
            uint32_t process_id;
            copy_from_ring(data, ring_bytes, body, &process_id, sizeof process_id);
            if (process_id == static_cast<uint32_t>(process_id_)) replaced_ = true;
        }
        if (header.type != PERF_RECORD_MMAP2) continue;
        AreaRecord area;
        char name[sizeof kMainStack] = {};
        copy_from_ring(data, ring_bytes, body, &area, sizeof area);
        // The kernel pads names to eight bytes.
        copy_from_ring(data, ring_bytes, body + sizeof area, name, sizeof name);
        if (area.process_id != static_cast<uint32_t>(process_id_)) continue;
        if (memcmp(name, kMainStack, sizeof kMainStack) == 0) continue;
        uint64_t time;
        copy_from_ring(data, ring_bytes, position - sizeof time, &time, sizeof time);
        found.areas.push_back({{area.start, area.start + area.bytes}, area.thread_id, area.protection, time});
    }
    __atomic_store_n(&page->data_tail, head, __ATOMIC_RELEASE);
}

void PerfWitness::convert_times(WitnessedMappings& found) {
    const ClockSample now = sample_clocks();
    if (later_.monotonic_ns - earlier_.monotonic_ns >= kLeastBaselineNs) earlier_ = later_;
    later_ = now;
    const auto baseline = static_cast<double>(later_.monotonic_ns - earlier_.monotonic_ns);
    const double rate = baseline <= 0 ? 1 : static_cast<double>(later_.tsc - earlier_.tsc) / baseline;
    for (WitnessedArea& area : found.areas) {
        const auto since = static_cast<int64_t>(area.time - later_.monotonic_ns);
        area.time =
            later_.tsc + static_cast<uint64_t>(static_cast<int64_t>(static_cast<double>(since) * rate));
    }
}

void PerfWitness::close() {
    const size_t header_bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    for (uint8_t* ring : rings_) {
        munmap(ring, header_bytes + reinterpret_cast<perf_event_mmap_page*>(ring)->data_size);
    }
    for (const int event : events_) ::close(event);
    rings_.clear();
    events_.clear();
    lost_ = 0;
    replaced_ = false;
}

}  // namespace offheap::addon
