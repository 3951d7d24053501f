// What the target's environment asks of the shim. Read once, from the constructor's envp: `getenv` still sees
// nothing when an `initfirst` constructor runs.
#pragma once

#include <stdint.h>

namespace offheap::runtime {

enum class HeapRecording : uint8_t { off, sampled, exact };

struct Configuration {
    bool disabled = false;
    bool rewrite_sites = true;       // OFFHEAP_SITES=off: relocation fallback only
    bool capture_stacks = true;      // OFFHEAP_STACKS=off
    bool python_frames = true;       // OFFHEAP_PYTHON=off: native frames only
    uint32_t verify_every = 0;       // OFFHEAP_VERIFY=N: check every Nth incremental capture; 0: none
    bool label = false;              // OFFHEAP_LABEL=1: name memory in the kernel by its owner
    bool emit_start_marker = false;  // OFFHEAP_MARK=1: a recognisable system call when recording begins
    int request_signal = 0;          // OFFHEAP_SIGNAL=USR2
    uint64_t scan_limit_bytes = 64u << 20;        // OFFHEAP_SCAN_LIMIT_BYTES
    uint64_t ring_events = 1u << 16;              // OFFHEAP_RING_EVENTS, rounded down to a power of two
    HeapRecording heap = HeapRecording::sampled;  // OFFHEAP_HEAP=off|sampled|exact
    uint32_t sample_bytes = 524288;               // OFFHEAP_SAMPLE_BYTES
    uint32_t heap_chunks = 4096;                  // OFFHEAP_HEAP_CHUNKS: 16 KiB each
    uint32_t collector = 0;  // OFFHEAP_COLLECTOR: the process that launches us and is going to read, 0: none
    // The default folder is tidied up: a process that ends in order leaves nothing there that nobody has
    // read.
    bool tidy = true;
    char directory[256] = {};  // OFFHEAP_DIR, else /dev/shm/offheap-UID
    // OFFHEAP_SCAN: prefixes of file names, separated by commas, whose inline system calls are looked for.
    char scan_prefixes[256] = "libucm,libtcmalloc,liburing";
};

Configuration read_configuration(char** environment);

// Whether `file_name` starts with one of the comma-separated prefixes.
bool matches_prefix(const char* prefixes, const char* file_name);

}  // namespace offheap::runtime
