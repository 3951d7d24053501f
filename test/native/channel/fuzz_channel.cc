// The collector's readers of ring and heap over a channel that is damaged before and while they read it.
// Whatever the bytes claim, each call ends, with an answer or a failure.
//
// The input is a list of patches of the golden channel: place (4 bytes), length (1), bytes; the first bit of
// the length says that the readers look before the next patch.
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "native/addon/channel_file.h"
#include "native/addon/heap_columns.h"
#include "native/addon/heap_drain.h"
#include "native/addon/ring_reader.h"

namespace {

using offheap::addon::ChannelFile;
using offheap::addon::Drained;
using offheap::addon::HeapDrain;
using offheap::addon::HeapLedger;
using offheap::addon::HeapView;
using offheap::addon::MaybeFailure;
using offheap::addon::RingReader;

constexpr uint64_t kSlots = 64;
constexpr size_t kPatchHeadBytes = 5;
constexpr uint8_t kMostPatchBytes = 64;

std::vector<char> golden() {
    std::ifstream file(OFFHEAP_GOLDEN_CHANNEL, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

// What a collector asks for, one after the other; failures are answers.
class Readers {
  public:
    explicit Readers(const std::string& path) : ring_(file_) {
        if (file_.open(path)) return;
        uint32_t found = 0;
        is_claimed_ = !ring_.claim(0, static_cast<uint32_t>(getpid()), found) && found == 0;
        static_cast<void>(ring_.rewind());
        has_heap_ = !heap_.open(path) && heap_.available();
    }

    void look() {
        read_ring();
        if (has_heap_) read_heap();
    }
    void finish() {
        look();
        if (!has_heap_) return;
        static_cast<void>(heap_.finish());
        read_heap();
    }

  private:
    void read_ring() {
        if (!is_claimed_) return;
        uint32_t holder = 0;
        if (ring_.lock(0, holder) || holder != 0) return;
        Drained drained;
        if (!ring_.drain(buffer_, kSlots, drained)) static_cast<void>(ring_.free_until(drained.position));
        static_cast<void>(ring_.unlock());
    }
    void read_heap() {
        uint64_t events = 0;
        static_cast<void>(heap_.drain(events));
        static_cast<void>(heap_.look([](HeapLedger& ledger, const HeapView& view) -> MaybeFailure {
            static_cast<void>(offheap::addon::site_columns(ledger, view.overlay));
            return {};
        }));
    }

    ChannelFile file_;
    RingReader ring_;
    HeapDrain heap_;
    bool is_claimed_ = false;
    bool has_heap_ = false;
    alignas(8) uint8_t buffer_[kSlots * sizeof(offheap::wire::Event)];
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t bytes) {
    static const std::vector<char> original = golden();
    static const std::string path = "/dev/shm/offheap-fuzz-" + std::to_string(getpid());
    if (original.empty()) abort();
    const int file = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 ||
        pwrite(file, original.data(), original.size(), 0) != static_cast<ssize_t>(original.size()))
        abort();
    // Patches before the first look: what a reader finds when it opens the channel.
    size_t at = 0;
    bool looks = false;
    const auto patch = [&] {
        const uint32_t place =
            input[at] | input[at + 1] << 8 | input[at + 2] << 16 | uint32_t{input[at + 3]} << 24;
        const size_t wanted = (input[at + 4] >> 1) % kMostPatchBytes;
        looks = (input[at + 4] & 1) != 0;
        at += kPatchHeadBytes;
        const size_t length = wanted < bytes - at ? wanted : bytes - at;
        // One place of each page truncates the file there: a target may do that at any moment.
        if (place % 4096 == 4095) static_cast<void>(ftruncate(file, place % original.size()));
        static_cast<void>(pwrite(file, input + at, length, place % original.size()));
        at += length;
    };
    while (!looks && at + kPatchHeadBytes <= bytes) patch();
    {
        Readers readers(path);
        for (readers.look(); at + kPatchHeadBytes <= bytes;) {
            patch();
            if (looks) readers.look();
        }
        readers.finish();
    }
    close(file);
    unlink(path.c_str());
    return 0;
}
