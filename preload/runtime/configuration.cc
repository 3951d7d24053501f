#include "preload/runtime/configuration.h"

#include <signal.h>

#include "preload/runtime/raw_syscall.h"
#include "preload/runtime/text.h"

namespace offheap::runtime {
namespace {

const char* value_of(const char* entry, const char* name) {
    if (!text_starts(entry, name)) return nullptr;
    entry += text_length(name);
    return *entry == '=' ? entry + 1 : nullptr;
}

int signal_number(const char* name) {
    if (text_starts(name, "SIG")) name += 3;
    if (text_equal(name, "USR1")) return SIGUSR1;
    if (text_equal(name, "USR2")) return SIGUSR2;
    if (text_equal(name, "HUP")) return SIGHUP;
    if (text_equal(name, "URG")) return SIGURG;
    uint64_t number = 0;
    return parse_number(name, &number) && number > 0 && number < 65 ? static_cast<int>(number) : 0;
}

HeapRecording heap_recording(const char* name, HeapRecording otherwise) {
    if (text_equal(name, "off")) return HeapRecording::off;
    if (text_equal(name, "sampled")) return HeapRecording::sampled;
    if (text_equal(name, "exact")) return HeapRecording::exact;
    return otherwise;
}

template <size_t kCapacity>
void copy_text(char (&to)[kCapacity], const char* from) {
    TextWriter(to, kCapacity).text(from);
}

}  // namespace

Configuration read_configuration(char** environment) {
    Configuration configuration;
    TextWriter(configuration.directory, sizeof configuration.directory)
        .text("/dev/shm/offheap-")
        .decimal(static_cast<uint64_t>(raw_syscall(kSysGetuid)));
    for (char** entry = environment; entry != nullptr && *entry != nullptr; ++entry) {
        if (!text_starts(*entry, "OFFHEAP_")) continue;
        uint64_t number = 0;
        if (const char* v = value_of(*entry, "OFFHEAP_DISABLE")) {
            configuration.disabled = *v != 0 && !text_equal(v, "0");
        } else if (const char* v = value_of(*entry, "OFFHEAP_DIR")) {
            if (*v != 0) {
                copy_text(configuration.directory, v);
                configuration.tidy = false;
            }
        } else if (const char* v = value_of(*entry, "OFFHEAP_SITES")) {
            configuration.rewrite_sites = !text_equal(v, "off");
        } else if (const char* v = value_of(*entry, "OFFHEAP_STACKS")) {
            configuration.capture_stacks = !text_equal(v, "off");
        } else if (const char* v = value_of(*entry, "OFFHEAP_PYTHON")) {
            configuration.python_frames = !text_equal(v, "off");
        } else if (const char* v = value_of(*entry, "OFFHEAP_HEAP")) {
            configuration.heap = heap_recording(v, configuration.heap);
        } else if (const char* v = value_of(*entry, "OFFHEAP_SAMPLE_BYTES")) {
            if (parse_number(v, &number) && number >= 1 && number <= UINT32_MAX)
                configuration.sample_bytes = static_cast<uint32_t>(number);
        } else if (const char* v = value_of(*entry, "OFFHEAP_HEAP_CHUNKS")) {
            if (parse_number(v, &number) && number <= 1u << 20)
                configuration.heap_chunks = static_cast<uint32_t>(number);
        } else if (const char* v = value_of(*entry, "OFFHEAP_COLLECTOR")) {
            if (parse_number(v, &number) && number <= INT32_MAX)
                configuration.collector = static_cast<uint32_t>(number);
        } else if (const char* v = value_of(*entry, "OFFHEAP_VERIFY")) {
            if (parse_number(v, &number) && number <= UINT32_MAX)
                configuration.verify_every = static_cast<uint32_t>(number);
        } else if (const char* v = value_of(*entry, "OFFHEAP_MARK")) {
            configuration.emit_start_marker = text_equal(v, "1");
        } else if (const char* v = value_of(*entry, "OFFHEAP_LABEL")) {
            configuration.label = text_equal(v, "1");
        } else if (const char* v = value_of(*entry, "OFFHEAP_SIGNAL")) {
            configuration.request_signal = signal_number(v);
        } else if (const char* v = value_of(*entry, "OFFHEAP_SCAN")) {
            copy_text(configuration.scan_prefixes, v);
        } else if (const char* v = value_of(*entry, "OFFHEAP_SCAN_LIMIT_BYTES")) {
            if (parse_number(v, &number)) configuration.scan_limit_bytes = number;
        } else if (const char* v = value_of(*entry, "OFFHEAP_RING_EVENTS")) {
            if (parse_number(v, &number) && number >= 64 && number <= 1u << 22)
                configuration.ring_events = number;
        }
    }
    while ((configuration.ring_events & (configuration.ring_events - 1)) != 0) {
        configuration.ring_events &= configuration.ring_events - 1;
    }
    return configuration;
}

bool matches_prefix(const char* prefixes, const char* file_name) {
    while (*prefixes != 0) {
        const char* name = file_name;
        while (*prefixes != 0 && *prefixes != ',' && *prefixes == *name) ++prefixes, ++name;
        const bool matched = *prefixes == 0 || *prefixes == ',';
        if (matched && name != file_name) return true;
        while (*prefixes != 0 && *prefixes != ',') ++prefixes;
        if (*prefixes == ',') ++prefixes;
    }
    return false;
}

}  // namespace offheap::runtime
