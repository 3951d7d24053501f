// A small address space, page by page, and what a list of events makes of it: the plainest possible ledger.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <map>
#include <vector>

#include "native/wire/layout.h"

namespace offheap::test {

// Where a page came from.
struct Page {
    uint32_t stack = 0;
    uint64_t protection = 0;
    uint64_t attachment = 0;  // address of the shmat, 0 for other memory
    bool operator==(const Page&) const = default;
};

class PageMap {
  public:
    explicit PageMap(uint64_t program_break) : program_break_(program_break) {}

    void apply(const wire::Event& event) {
        using wire::Phase;
        switch (static_cast<Phase>(event.phase)) {
            case Phase::kBegin:
                return begin(event);
            case Phase::kFailed:
                return take_back(event);
            case Phase::kEnd:
                return end_mremap(event);
            default:
                return complete(event);
        }
    }

    const std::map<uint64_t, Page>& pages() const { return pages_; }
    uint64_t program_break() const { return program_break_; }
    bool is_free(uint64_t page, uint64_t count) const {
        const auto next = pages_.lower_bound(page);
        return next == pages_.end() || next->first >= page + count;
    }

  private:
    static constexpr uint64_t kBytes = wire::kPageBytes;
    static uint64_t page_of(uint64_t address) { return address / kBytes; }
    static uint64_t count_of(uint64_t bytes) { return (bytes + kBytes - 1) / kBytes; }

    void put(uint64_t address, uint64_t bytes, const Page& page) {
        for (uint64_t i = 0; i < count_of(bytes); ++i) pages_[page_of(address) + i] = page;
    }

    std::map<uint64_t, Page> cut(uint64_t first, uint64_t count) {
        std::map<uint64_t, Page> taken;
        const auto from = pages_.lower_bound(first);
        const auto to = pages_.lower_bound(first + count);
        taken.insert(from, to);
        pages_.erase(from, to);
        return taken;
    }

    void begin(const wire::Event& event) {
        using wire::Operation;
        std::map<uint64_t, Page>& stash = under_way_[event.sequence - 1];
        switch (static_cast<Operation>(event.operation)) {
            case Operation::kMunmap:
                stash = cut(page_of(event.arg0), count_of(event.arg1));
                return;
            case Operation::kMremap:
                stash = cut(page_of(event.arg0), count_of(event.arg1));
                return;
            case Operation::kBrk:
                stash = cut(page_of(event.arg0), page_of(program_break_) - page_of(event.arg0));
                program_break_ = event.arg0;
                return;
            case Operation::kShmdt:
                for (const auto& [number, page] : pages_) {
                    if (page.attachment == event.arg0) stash[number] = page;
                }
                for (const auto& [number, page] : stash) pages_.erase(number);
                return;
            default:
                return;
        }
    }

    void take_back(const wire::Event& event) {
        pages_.merge(under_way_[event.refers_to]);
        if (static_cast<wire::Operation>(event.operation) == wire::Operation::kBrk)
            program_break_ = event.result;
    }

    void end_mremap(const wire::Event& event) {
        const auto stash = under_way_[event.refers_to];
        cut(page_of(event.result), count_of(event.arg2));
        put(event.result, event.arg2, {event.stack, PROT_READ, 0});
        for (const auto& [number, page] : stash) {
            const uint64_t offset = number - page_of(event.arg0);
            if (offset < count_of(event.arg2)) pages_[page_of(event.result) + offset] = page;
        }
    }

    void complete(const wire::Event& event) {
        using wire::Operation;
        if (event.result >= static_cast<uint64_t>(-4095)) return;
        switch (static_cast<Operation>(event.operation)) {
            case Operation::kSeed:
            case Operation::kMmap:
                return put(event.result, event.arg1, {event.stack, event.arg2, 0});
            case Operation::kShmat:
                return put(event.result, event.extra, {event.stack, PROT_READ | PROT_WRITE, event.result});
            case Operation::kMprotect: {
                const auto end = pages_.lower_bound(page_of(event.arg0) + count_of(event.arg1));
                for (auto page = pages_.lower_bound(page_of(event.arg0)); page != end; ++page)
                    page->second.protection = event.arg2;
                return;
            }
            case Operation::kBrk:
                if (event.result > program_break_)
                    put(program_break_, event.result - program_break_, {event.stack, PROT_READ, 0});
                program_break_ = event.result;
                return;
            default:
                return;
        }
    }

    std::map<uint64_t, Page> pages_;
    std::map<uint64_t, std::map<uint64_t, Page>> under_way_;  // what a begun release took away, by position
    uint64_t program_break_;
};

}  // namespace offheap::test
