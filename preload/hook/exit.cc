#include "preload/hook/exit.h"

#include "preload/hook/process.h"
#include "preload/runtime/raw_syscall.h"

namespace offheap::hook {

using namespace offheap::runtime;

void note_exit(uint32_t status) {
    if (__atomic_load_n(&process.page->state, __ATOMIC_ACQUIRE) != kPageRecording) return;
    // A vfork child whose exec failed ends here as well, in its parent's memory: the parent lives on.
    wire::Header* header = process.channel.header();
    if (static_cast<uint32_t>(raw_syscall(kSysGetpid)) != header->process_id) return;
    header->exit_status = status & 0xff;
    __atomic_store_n(&header->state, static_cast<uint32_t>(wire::ProcessState::kExited), __ATOMIC_RELEASE);
    // Nobody has asked, and nothing of an ended process grows. Otherwise a service that starts many short
    // processes would fill the shared-memory file system.
    if (process.configuration.tidy && header->collector_process_id == 0) process.channel.remove();
}

}  // namespace offheap::hook
