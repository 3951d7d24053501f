#include "native/addon/request_sender.h"

#include <stddef.h>
#include <unistd.h>

namespace offheap::addon {
namespace {

using wire::Header;

constexpr char kRequestBusy[] = "REQUEST_BUSY";
constexpr char kTruncated[] = "the channel was truncated";

}  // namespace

MaybeFailure RequestSender::prepare(Header& header) {
    if (!page_.mapped() && !page_.map(file_.descriptor())) return damaged("the channel can't be mapped");
    return file_.read_header(header);
}

MaybeFailure RequestSender::send(wire::RequestKind kind, uint64_t argument, uint64_t& request) {
    Header header;
    if (auto failure = prepare(header)) return failure;
    if (header.collector_process_id != static_cast<uint32_t>(getpid())) {
        return Failure{kChannelBusy, "only the channel's collector may ask the target for something"};
    }
    if (header.request_taken != header.request_answered) {
        return Failure{kRequestBusy, "the process still does what it was asked before; ask again later"};
    }
    request = wire::pack_request(kind, (header.request >> 8) + 1);
    if (!page_.store_release(offsetof(Header, request), request) ||
        !page_.store_release(offsetof(Header, request_argument), argument)) {
        return damaged(kTruncated);
    }
    uint64_t word = header.heap_control;
    for (;;) {
        const uint64_t expected = word;
        // [request]: exchanges order what was stored before them.
        if (!page_.compare_exchange(offsetof(Header, heap_control), word, word | wire::kRequestedBit)) {
            return damaged(kTruncated);
        }
        if (word == expected) return {};
    }
}

MaybeFailure RequestSender::withdraw(bool& withdrawn) {
    Header header;
    if (auto failure = prepare(header)) return failure;
    uint64_t word = header.heap_control;
    for (;;) {
        const uint64_t expected = word;
        withdrawn = (word & wire::kRequestedBit) != 0;
        if (!withdrawn) return {};
        if (!page_.compare_exchange(offsetof(Header, heap_control), word, word & ~wire::kRequestedBit)) {
            return damaged(kTruncated);
        }
        if (word == expected) return {};
    }
}

}  // namespace offheap::addon
