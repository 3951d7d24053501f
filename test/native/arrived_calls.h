// Where rewritten system calls arrive in the tests: counted, then made.
#pragma once

#include <cstdint>

#include "preload/hook/system_call.h"

namespace offheap::test {

struct ArrivedCalls {
    uint64_t count = 0;
    hook::SystemCallFrame last = {};
    uint64_t stack_pointer = 0;
};

extern ArrivedCalls arrived_calls;

}  // namespace offheap::test
