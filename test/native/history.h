// Random calls as a kernel would answer them, recorded in a channel and, whole, in a page map.
#pragma once

#include <cerrno>
#include <cstdint>
#include <random>
#include <vector>

#include "native/wire/layout.h"
#include "preload/record/channel.h"
#include "preload/record/emit.h"
#include "test/native/page_map.h"

namespace offheap::test {

inline constexpr uint64_t kFirstBreak = 0x8000 * uint64_t{wire::kPageBytes};

class History {
  public:
    History(record::Channel& channel, uint32_t seed) : channel_(channel), random_(seed) {}

    const PageMap& whole() const { return whole_; }
    uint64_t lost() const { return lost_; }

    // One call of any sort, one or two events.
    void step() {
        const uint64_t choice = below(100);
        if (choice < 40) return map_somewhere(below(12) == 0);
        if (choice < 74) return unmap_a_mapping();
        if (choice < 78) return unmap(any_page(), 1 + below(12));
        if (choice < 82) return map_fixed(any_page(), 1 + below(10));
        if (choice < 85) return remap();
        if (choice < 88) return protect();
        if (choice < 91) return move_break();
        if (choice < 93) return attach();
        if (choice < 95) return detach();
        if (choice < 98) return call_that_fails();
        say({.operation = below(2) == 0 ? Operation::kMadvise : Operation::kFork, .address = any_page()});
    }

    void map(uint64_t page, uint64_t count, uint64_t flags = MAP_PRIVATE | MAP_ANONYMOUS, uint32_t text = 0) {
        say({.operation = Operation::kMmap,
             .bytes = bytes(count),
             .flags = flags,
             .result = address(page),
             .text = text});
        mappings_.push_back({page, count});
    }

    void unmap(uint64_t page, uint64_t count) {
        say({.operation = Operation::kMunmap,
             .phase = Phase::kBegin,
             .address = page,
             .bytes = bytes(count)});
    }

  private:
    using Operation = wire::Operation;
    using Phase = wire::Phase;
    static constexpr uint64_t kFirstPage = 0x10000;
    static constexpr uint64_t kPages = 150;

    struct Mapping {
        uint64_t page, count;
    };
    struct Call {
        Operation operation;
        Phase phase = Phase::kComplete;
        uint64_t address = 0;  // a page
        uint64_t bytes = 0;
        uint64_t new_bytes = 0;  // protection for mmap and mprotect
        uint64_t flags = 0;
        uint64_t result = 0;
        uint64_t refers_to = 0;
        uint64_t extra = 0;
        uint32_t text = 0;
    };

    uint64_t below(uint64_t limit) { return random_() % limit; }
    uint64_t any_page() { return kFirstPage + below(kPages); }
    static uint64_t address(uint64_t page) { return page * wire::kPageBytes; }
    // Not always whole pages: the kernel rounds up.
    uint64_t bytes(uint64_t pages) {
        return pages * wire::kPageBytes - (below(4) == 0 ? 1 + below(4000) : 0);
    }

    uint64_t say(const Call& call) {
        wire::Event event = {};
        event.operation = static_cast<uint8_t>(call.operation);
        event.phase = static_cast<uint8_t>(call.phase);
        event.arg0 = address(call.address);
        event.arg1 = call.bytes;
        event.arg2 = call.new_bytes;
        event.arg3 = call.flags;
        event.result = call.result;
        event.refers_to = call.refers_to;
        event.extra = call.extra;
        event.text = call.text;
        event.stack = ++stacks_;
        const uint64_t position = record::emit(channel_, event);
        if (position == record::kLost) {
            ++lost_;
            return position;
        }
        event.sequence = position + 1;
        whole_.apply(event);
        return position;
    }

    // The first free place behind a random page; 0 when there is none.
    uint64_t free_place(uint64_t count) {
        const uint64_t from = below(kPages);
        for (uint64_t i = 0; i < kPages; ++i) {
            const uint64_t page = kFirstPage + (from + i) % kPages;
            if (page + count <= kFirstPage + kPages && whole_.is_free(page, count)) return page;
        }
        return 0;
    }

    void map_somewhere(bool executable_file) {
        const uint64_t count = 1 + below(8);
        const uint64_t page = free_place(count);
        if (page != 0) map(page, count, MAP_PRIVATE | MAP_ANONYMOUS, executable_file ? 16 : 0);
    }

    void map_fixed(uint64_t page, uint64_t count) {
        map(page, count, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED);
    }

    // Just what was mapped once, more often than not the latest; or a part of it, or more.
    void unmap_a_mapping() {
        if (mappings_.empty()) return;
        const uint64_t back =
            below(3) == 0 ? below(mappings_.size()) : below(std::min<uint64_t>(3, mappings_.size()));
        const auto at = mappings_.end() - 1 - static_cast<int64_t>(back);
        const Mapping mapping = *at;
        const uint64_t choice = below(10);
        if (choice == 0) return unmap(mapping.page, mapping.count + 1 + below(3));
        if (choice == 1 && mapping.count > 2) return unmap(mapping.page + 1, mapping.count - 2);
        if (choice == 2 && mapping.count > 1) return unmap(mapping.page, mapping.count - 1);
        mappings_.erase(at);
        unmap(mapping.page, mapping.count);
    }

    void remap() {
        if (mappings_.empty()) return;
        const Mapping mapping = mappings_[below(mappings_.size())];
        if (whole_.is_free(mapping.page, mapping.count)) return;
        const uint64_t count = 1 + below(10);
        const bool stays =
            count <= mapping.count || whole_.is_free(mapping.page + mapping.count, count - mapping.count);
        const uint64_t target = stays && below(2) == 0 ? mapping.page : free_place(count);
        if (target == 0) return;
        Call call = {.operation = Operation::kMremap,
                     .phase = Phase::kBegin,
                     .address = mapping.page,
                     .bytes = address(mapping.count),
                     .new_bytes = address(count)};
        call.refers_to = say(call);
        call.phase = Phase::kEnd;
        call.result = address(target);
        say(call);
        mappings_.push_back({target, count});
    }

    void protect() {
        say({.operation = Operation::kMprotect,
             .address = any_page(),
             .bytes = bytes(1 + below(8)),
             .new_bytes = below(8)});
    }

    void move_break() {
        const uint64_t target = kFirstBreak / wire::kPageBytes + below(20);
        const bool down = address(target) < whole_.program_break();
        say({.operation = Operation::kBrk,
             .phase = down ? Phase::kBegin : Phase::kComplete,
             .address = target,
             .result = down ? 0 : address(target)});
    }

    void attach() {
        const uint64_t count = 1 + below(5);
        const uint64_t page = free_place(count);
        if (page == 0) return;
        say({.operation = Operation::kShmat, .result = address(page), .extra = address(count)});
        attachments_.push_back(page);
    }

    void detach() {
        if (attachments_.empty()) return;
        const uint64_t page = attachments_[below(attachments_.size())];
        say({.operation = Operation::kShmdt, .phase = Phase::kBegin, .address = page});
    }

    // A release that is begun and taken back, with other threads' events in between; or an acquisition that
    // failed.
    void call_that_fails() {
        if (below(2) == 0) {
            say({.operation = below(2) == 0 ? Operation::kMmap : Operation::kMprotect,
                 .address = any_page(),
                 .bytes = address(1 + below(9)),
                 .flags = MAP_PRIVATE | MAP_FIXED,
                 .result = static_cast<uint64_t>(-ENOMEM)});
            return;
        }
        Mapping mapping = {any_page(), 1 + below(6)};
        if (!mappings_.empty() && below(3) != 0) mapping = mappings_[below(mappings_.size())];
        Call call = {.operation = below(4) == 0 ? Operation::kMremap : Operation::kMunmap,
                     .phase = Phase::kBegin,
                     .address = mapping.page,
                     .bytes = address(mapping.count),
                     .new_bytes = address(1)};
        call.refers_to = say(call);
        for (uint64_t i = below(4); i > 0; --i)
            say({.operation = Operation::kMadvise, .address = any_page()});
        call.phase = Phase::kFailed;
        call.result = static_cast<uint64_t>(-EINVAL);
        say(call);
    }

    record::Channel& channel_;
    std::mt19937_64 random_;
    PageMap whole_{kFirstBreak};
    std::vector<Mapping> mappings_;
    std::vector<uint64_t> attachments_;
    uint32_t stacks_ = 0;
    uint64_t lost_ = 0;
};

}  // namespace offheap::test
