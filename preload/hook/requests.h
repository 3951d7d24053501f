// Answers the collector's requests (native/wire/request.h) on a thread that calls its allocator.
#pragma once

#include <stdint.h>

namespace offheap::hook {

// To be called where `control` says that a request waits, and outside of the allocator's functions. Answers
// it if the thread may call the allocator's functions here; that may take long. Returns `control` as it is
// without a request.
uint64_t after_request(uint64_t control);

}  // namespace offheap::hook
