// System-call numbers and what they mean for the account.
#pragma once

#include <stdint.h>

#include "native/wire/layout.h"
#include "preload/runtime/raw_syscall.h"

namespace offheap::hook {

inline constexpr uint32_t kLargestNumber = runtime::kSysProcessMadvise;

constexpr wire::Operation operation_of(uint64_t number) {
    switch (number) {
        case runtime::kSysMmap:
            return wire::Operation::kMmap;
        case runtime::kSysMprotect:
            return wire::Operation::kMprotect;
        case runtime::kSysMunmap:
            return wire::Operation::kMunmap;
        case runtime::kSysBrk:
            return wire::Operation::kBrk;
        case runtime::kSysMremap:
            return wire::Operation::kMremap;
        case runtime::kSysMadvise:
            return wire::Operation::kMadvise;
        case runtime::kSysShmat:
            return wire::Operation::kShmat;
        case runtime::kSysShmdt:
            return wire::Operation::kShmdt;
        case runtime::kSysRemapFilePages:
            return wire::Operation::kRemapFilePages;
        case runtime::kSysPkeyMprotect:
            return wire::Operation::kPkeyMprotect;
        case runtime::kSysProcessMadvise:
            return wire::Operation::kProcessMadvise;
        default:
            return wire::Operation::kNone;
    }
}

// Whether a call through libc's syscall() is any of our business.
constexpr bool is_intercepted(uint64_t number) {
    return operation_of(number) != wire::Operation::kNone || number == runtime::kSysExitGroup;
}

}  // namespace offheap::hook
