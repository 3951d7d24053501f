// Access to a mapped file that somebody else may truncate at any time.
//
// What lies behind the end of the file raises SIGBUS. No check beforehand can rule that out, since the file
// may shrink between check and access. So the fault itself is caught: the handler puts a private page of
// zeros in the place of the one that has gone, the access is repeated there, and reported as failed. A SIGBUS
// anywhere else goes to whoever handled it before.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <atomic>

namespace offheap::addon {

// To be called before the first guarded access of the process.
void install_bus_guard();

// From here to `end_bus_guard`, this thread accesses whole pages from `base` on; not to be nested.
void begin_bus_guard(uint8_t* base, size_t bytes);
// False where a page had gone.
bool end_bus_guard();

template <typename Access>
bool guarded_access(uint8_t* base, size_t bytes, Access access) {
    begin_bus_guard(base, bytes);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    access();
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return end_bus_guard();
}

}  // namespace offheap::addon
