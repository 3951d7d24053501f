// What rests in the windows of all lanes at a moment, without any of their threads being waited for.
//
// In use: read it, then take in all that is published, with this as the ledger's watch. What has been
// published in between is left out then: nothing stands in both, and nothing in neither.
#pragma once

#include <stdint.h>

#include <vector>

#include "native/addon/channel_file.h"
#include "native/addon/heap_ledger.h"

namespace offheap::addon {

struct RestingTemporaries {
    uint32_t lane = 0;
    uint32_t thread_id = 0;
    uint32_t stack = 0;
    uint32_t count = 0;
    uint64_t bytes = 0;
};

class HeapWindows : public HeapWatch {
  public:
    // Of lanes that threads have; of `every` lane once no thread is left to give it back. `now` must have
    // been read from the channel's clock before.
    [[nodiscard]] MaybeFailure read(const ChannelFile& file, const std::vector<wire::Lane>& lanes,
                                    uint64_t now, bool every);

    void allocation(uint64_t address, uint64_t time) override;
    void temporaries(uint32_t lane, uint32_t stack, uint64_t position) override;
    // Ends the watching.
    void leave_out_published();

    uint64_t time() const { return time_; }
    // In the order of address and time.
    const std::vector<RestingBlock>& blocks() const { return blocks_; }
    const std::vector<RestingTemporaries>& temporaries() const { return temporaries_; }

  private:
    void take_blocks(uint32_t thread_id, const wire::HeapEvent* first, const wire::HeapEvent* second);
    void take_temporaries(uint32_t lane, uint32_t thread_id, const wire::Temporaries* first,
                          const wire::Temporaries* second);

    uint64_t time_ = 0;
    std::vector<uint64_t> heads_;  // of the lanes, just before
    std::vector<RestingBlock> blocks_;
    std::vector<RestingTemporaries> temporaries_;
};

}  // namespace offheap::addon
