// A signal handler that left by siglongjmp would leave half a change behind for ever.
#pragma once

#include <signal.h>
#include <stdint.h>

#include "preload/runtime/raw_syscall.h"

namespace offheap::record {

class SignalsBlocked {
  public:
    SignalsBlocked() {
        using namespace runtime;
        raw_syscall(kSysSigprocmask, SIG_SETMASK, as_argument(&all_), as_argument(&before_), sizeof all_);
    }
    ~SignalsBlocked() {
        using namespace runtime;
        raw_syscall(kSysSigprocmask, SIG_SETMASK, as_argument(&before_), 0, sizeof before_);
    }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

  private:
    uint64_t all_ = ~uint64_t{0};
    uint64_t before_ = 0;
};

}  // namespace offheap::record
