#include "preload/runtime/process_page.h"

#include <sys/mman.h>

#include "preload/runtime/raw_syscall.h"

namespace offheap::runtime {

ProcessPage* create_process_page() {
    const long address =
        raw_syscall(kSysMmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (is_error(address)) return nullptr;
    // Without wiping (before Linux 4.14) a child would write into its parent's channel: rather record
    // nothing.
    if (is_error(raw_syscall(kSysMadvise, address, 4096, MADV_WIPEONFORK))) {
        raw_syscall(kSysMunmap, address, 4096);
        return nullptr;
    }
    return reinterpret_cast<ProcessPage*>(address);
}

}  // namespace offheap::runtime
