// The collector's end of requests to the target (native/wire/request.h).
#pragma once

#include <stdint.h>

#include "native/addon/channel_file.h"
#include "native/addon/guarded_page.h"
#include "native/wire/request.h"

namespace offheap::addon {

class RequestSender {
  public:
    explicit RequestSender(const ChannelFile& file) : file_(file) {}

    // Asks the target; `request` names what was asked in the header's words. Fails with REQUEST_BUSY while
    // the target answers another one. Needs the claim.
    [[nodiscard]] MaybeFailure send(wire::RequestKind kind, uint64_t argument, uint64_t& request);

    // Takes a request back; `withdrawn` is false where a thread was first.
    [[nodiscard]] MaybeFailure withdraw(bool& withdrawn);

  private:
    [[nodiscard]] MaybeFailure prepare(wire::Header& header);

    const ChannelFile& file_;
    GuardedPage page_;
};

}  // namespace offheap::addon
