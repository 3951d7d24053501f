#include "native/addon/heap_object.h"

#include <errno.h>
#include <string.h>

#include <algorithm>
#include <string>

#include "native/addon/glibc_heap_object.h"
#include "native/addon/heap_asked.h"
#include "native/addon/heap_columns.h"
#include "native/addon/heap_pages.h"
#include "native/addon/memory_arguments.h"
#include "native/addon/residency.h"
#include "native/addon/thrown.h"

namespace offheap::addon {
namespace {

constexpr char kNoMark[] = "NO_MARK";
constexpr char kProcessMissing[] = "PROCESS_MISSING";
constexpr char kProcessRefused[] = "PROCESS_REFUSED";

// A whole number of 32 bits; false where the argument is none.
bool unsigned_argument(const Napi::CallbackInfo& info, size_t index, uint32_t& value) {
    if (!info[index].IsNumber()) return false;
    const double number = info[index].As<Napi::Number>().DoubleValue();
    if (!(number >= 0 && number <= UINT32_MAX)) return false;
    value = static_cast<uint32_t>(number);
    return static_cast<double>(value) == number;
}

void set(Napi::Object& object, const char* name, const std::vector<uint32_t>& column) {
    auto array = Napi::Uint32Array::New(object.Env(), column.size());
    std::copy(column.begin(), column.end(), array.Data());
    object.Set(name, array);
}

void set(Napi::Object& object, const char* name, const std::vector<double>& column) {
    auto array = Napi::Float64Array::New(object.Env(), column.size());
    std::copy(column.begin(), column.end(), array.Data());
    object.Set(name, array);
}

void set(Napi::Object& object, const char* name, double value) { object.Set(name, value); }

Napi::Value histogram(Napi::Env env, const HeapHistogramColumns& columns) {
    Napi::Object result = Napi::Object::New(env);
    set(result, "from", columns.from);
    set(result, "liveBytes", columns.live_bytes);
    set(result, "liveAllocations", columns.live_allocations);
    return result;
}

}  // namespace

Napi::Function HeapObject::define(Napi::Env env) {
    return DefineClass(env, "Heap",
                       {
                           InstanceMethod<&HeapObject::available>("available"),
                           InstanceMethod<&HeapObject::start>("start"),
                           InstanceMethod<&HeapObject::drain>("drain"),
                           InstanceMethod<&HeapObject::mode>("mode"),
                           InstanceMethod<&HeapObject::set_mode>("setMode"),
                           InstanceMethod<&HeapObject::totals>("totals"),
                           InstanceMethod<&HeapObject::sites>("sites"),
                           InstanceMethod<&HeapObject::held>("held"),
                           InstanceMethod<&HeapObject::threads>("threads"),
                           InstanceMethod<&HeapObject::sizes>("sizes"),
                           InstanceMethod<&HeapObject::ages>("ages"),
                           InstanceMethod<&HeapObject::mark>("mark"),
                           InstanceMethod<&HeapObject::survivors>("survivors"),
                           InstanceMethod<&HeapObject::pins>("pins"),
                           InstanceMethod<&HeapObject::pages>("pages"),
                           InstanceMethod<&HeapObject::glibc_heaps>("glibcHeaps"),
                           InstanceMethod<&HeapObject::asked>("asked"),
                           InstanceMethod<&HeapObject::hold>("hold"),
                           InstanceMethod<&HeapObject::let_go>("letGo"),
                           InstanceMethod<&HeapObject::finish>("finish"),
                           InstanceMethod<&HeapObject::close>("close"),
                       });
}

HeapObject::HeapObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<HeapObject>(info) {
    Napi::Env env = info.Env();
    if (!info[0].IsString()) {
        misuse(env, "Heap(path): path is a string");
        return;
    }
    if (auto failure = drain_.open(info[0].As<Napi::String>().Utf8Value())) fail(env, *failure);
}

template <typename Use>
bool HeapObject::look(Napi::Env env, Use use) {
    if (!drain_.available()) {
        if (auto failure = use(nothing_, HeapView())) fail(env, *failure);
    } else if (auto failure = drain_.look(use)) {
        fail(env, *failure);
    }
    return !env.IsExceptionPending();
}

Napi::Value HeapObject::available(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), drain_.available());
}

Napi::Value HeapObject::start(const Napi::CallbackInfo& info) {
    drain_.start();
    return info.Env().Undefined();
}

Napi::Value HeapObject::drain(const Napi::CallbackInfo& info) {
    uint64_t events = 0;
    if (auto failure = drain_.drain(events)) return fail(info.Env(), *failure);
    return Napi::Number::New(info.Env(), static_cast<double>(events));
}

Napi::Value HeapObject::mode(const Napi::CallbackInfo& info) {
    wire::HeapControl control;
    if (auto failure = drain_.control(control)) return fail(info.Env(), *failure);
    return Napi::Number::New(info.Env(), static_cast<uint32_t>(control.mode));
}

Napi::Value HeapObject::set_mode(const Napi::CallbackInfo& info) {
    uint32_t mode = 0, sample_bytes = 0;
    if (!unsigned_argument(info, 0, mode) || !unsigned_argument(info, 1, sample_bytes) ||
        mode >= static_cast<uint32_t>(wire::HeapMode::kCount) || sample_bytes == 0) {
        return misuse(info.Env(), "setMode(mode, sampleBytes): a mode and bytes from 1 to 4294967295");
    }
    if (auto failure = drain_.set_mode(static_cast<wire::HeapMode>(mode), sample_bytes)) {
        return fail(info.Env(), *failure);
    }
    return info.Env().Undefined();
}

Napi::Value HeapObject::totals(const Napi::CallbackInfo& info) {
    Napi::Object result = Napi::Object::New(info.Env());
    look(info.Env(), [&](HeapLedger& ledger, const HeapView& view) -> MaybeFailure {
        const HeapSums all = sums(ledger, view.overlay);
        const wire::HeapControl control = wire::unpack_heap_control(view.header.heap_control);
        set(result, "mode", static_cast<double>(control.mode));
        set(result, "sampleBytes", control.sample_bytes);
        set(result, "epoch", control.epoch);
        set(result, "liveBytes", all.counts.live_bytes);
        set(result, "liveAllocations", all.counts.live_allocations);
        set(result, "allocations", all.counts.allocations);
        set(result, "frees", all.counts.frees);
        set(result, "temporary", all.counts.temporary);
        set(result, "allocatedBytes", all.counts.allocated_bytes);
        set(result, "peakBytes", all.counts.peak_bytes);
        set(result, "liveBytesVariance", all.variance.bytes);
        set(result, "liveAllocationsVariance", all.variance.allocations);
        set(result, "beforeBytes", all.before_bytes);
        set(result, "beforeAllocations", all.before_allocations);
        set(result, "unknownFrees", static_cast<double>(ledger.unknown_frees()));
        set(result, "events", static_cast<double>(view.events));
        set(result, "lost", static_cast<double>(view.lost));
        set(result, "waits", static_cast<double>(view.header.heap_waits));
        set(result, "resumed", view.resumed ? 1 : 0);
        set(result, "withoutLane", static_cast<double>(view.header.heap_without_lane));
        set(result, "damaged", static_cast<double>(view.damaged));
        return {};
    });
    return result;
}

Napi::Value HeapObject::sites(const Napi::CallbackInfo& info) {
    Napi::Object result = Napi::Object::New(info.Env());
    look(info.Env(), [&](HeapLedger& ledger, const HeapView& view) -> MaybeFailure {
        const HeapSiteColumns columns = site_columns(ledger, view.overlay);
        set(result, "stack", columns.stack);
        set(result, "liveBytes", columns.live_bytes);
        set(result, "liveAllocations", columns.live_allocations);
        set(result, "allocations", columns.allocations);
        set(result, "frees", columns.frees);
        set(result, "temporary", columns.temporary);
        set(result, "allocatedBytes", columns.allocated_bytes);
        set(result, "peakBytes", columns.peak_bytes);
        set(result, "liveBytesVariance", columns.live_bytes_variance);
        set(result, "liveAllocationsVariance", columns.live_allocations_variance);
        return {};
    });
    return result;
}

Napi::Value HeapObject::held(const Napi::CallbackInfo& info) {
    Napi::Object result = Napi::Object::New(info.Env());
    look(info.Env(), [&](HeapLedger& ledger, const HeapView& view) -> MaybeFailure {
        const HeapHeldColumns columns = held_columns(ledger, view.overlay);
        set(result, "stack", columns.stack);
        set(result, "liveBytes", columns.live_bytes);
        return {};
    });
    return result;
}

Napi::Value HeapObject::threads(const Napi::CallbackInfo& info) {
    Napi::Object result = Napi::Object::New(info.Env());
    look(info.Env(), [&](HeapLedger& ledger, const HeapView& view) -> MaybeFailure {
        const HeapThreadColumns columns = thread_columns(ledger, view.overlay);
        set(result, "threadId", columns.thread_id);
        set(result, "liveBytes", columns.live_bytes);
        set(result, "liveAllocations", columns.live_allocations);
        set(result, "allocations", columns.allocations);
        set(result, "frees", columns.frees);
        set(result, "temporary", columns.temporary);
        return {};
    });
    return result;
}

Napi::Value HeapObject::sizes(const Napi::CallbackInfo& info) {
    HeapHistogramColumns columns;
    look(info.Env(), [&](HeapLedger& ledger, const HeapView& view) -> MaybeFailure {
        columns = size_columns(ledger, view.overlay);
        return {};
    });
    return histogram(info.Env(), columns);
}

Napi::Value HeapObject::ages(const Napi::CallbackInfo& info) {
    HeapHistogramColumns columns;
    look(info.Env(), [&](HeapLedger& ledger, const HeapView& view) -> MaybeFailure {
        columns = age_columns(ledger, view.overlay, view.now, view.coarse_seconds);
        return {};
    });
    return histogram(info.Env(), columns);
}

Napi::Value HeapObject::mark(const Napi::CallbackInfo& info) {
    uint32_t number = 0;
    look(info.Env(), [&](HeapLedger& ledger, const HeapView& view) -> MaybeFailure {
        ledger.add_mark(view.now, frees_of_stacks(ledger, view.overlay));
        number = ledger.last_mark();
        return {};
    });
    return Napi::Number::New(info.Env(), number);
}

Napi::Value HeapObject::survivors(const Napi::CallbackInfo& info) {
    uint32_t number = 0;
    if (!unsigned_argument(info, 0, number)) return misuse(info.Env(), "survivors(mark): a number");
    Napi::Object result = Napi::Object::New(info.Env());
    look(info.Env(), [&](HeapLedger& ledger, const HeapView& view) -> MaybeFailure {
        const HeapMark* mark = ledger.mark(number);
        if (mark == nullptr) {
            return Failure{kNoMark, "there is no mark " + std::to_string(number) +
                                        ", or many were set since; set one with mark() first"};
        }
        const HeapSurvivorColumns columns = survivor_columns(ledger, view.overlay, *mark);
        set(result, "stack", columns.stack);
        set(result, "liveBytes", columns.live_bytes);
        set(result, "liveAllocations", columns.live_allocations);
        set(result, "frees", columns.frees);
        return {};
    });
    return result;
}

namespace {

constexpr AddressRange kAllAddresses = {0, LiveBlocks::kAddressLimit};

MaybeFailure cannot_look(int process_id, int number) {
    const bool is_gone = number == ENOENT || number == ESRCH;
    return Failure{
        is_gone ? kProcessMissing : kProcessRefused,
        "the page map of process " + std::to_string(process_id) + " can't be read: " + strerror(number)};
}

// Whether each of some pages, sorted, is in memory or in swap.
std::vector<bool> held_pages(PageMap& page_map, const std::vector<AddressRange>& pages) {
    std::vector<PageBytes> bytes;
    page_map.sweep(pages, bytes);
    std::vector<bool> held(pages.size());
    for (size_t i = 0; i < pages.size(); ++i) held[i] = bytes[i].resident() + bytes[i].swap > 0;
    return held;
}

}  // namespace

Napi::Value HeapObject::pins(const Napi::CallbackInfo& info) {
    if (!info[0].IsNumber()) return misuse(info.Env(), "pins(pid): a process id");
    const int process_id = info[0].As<Napi::Number>().Int32Value();
    Napi::Object result = Napi::Object::New(info.Env());
    look(info.Env(), [&](HeapLedger& ledger, const HeapView& view) -> MaybeFailure {
        PageMap page_map(process_id);
        if (!page_map.is_open()) return cannot_look(process_id, page_map.open_errno());
        const PageUse use = page_use(ledger, view.resting, kAllAddresses);
        HeapPins found = find_pins(use, held_pages(page_map, partial_pages(use)));
        // Under no stack's name.
        found.shared.stack = UINT32_MAX;
        found.pins.push_back(found.shared);
        std::vector<uint32_t> stacks;
        std::vector<double> pages, live_bytes, free_bytes;
        for (const HeapPin& pin : found.pins) {
            stacks.push_back(pin.stack);
            pages.push_back(static_cast<double>(pin.pages));
            live_bytes.push_back(static_cast<double>(pin.live_bytes));
            free_bytes.push_back(static_cast<double>(pin.free_bytes));
        }
        set(result, "stack", stacks);
        set(result, "pages", pages);
        set(result, "liveBytes", live_bytes);
        set(result, "freeBytes", free_bytes);
        return {};
    });
    return result;
}

Napi::Value HeapObject::pages(const Napi::CallbackInfo& info) {
    constexpr double kMostBytes = 1ULL << 36;
    if (!info[0].IsNumber() || !info[1].IsNumber() || !info[2].IsNumber()) {
        return misuse(info.Env(), "pages(pid, start, end): three numbers");
    }
    const double from = info[1].As<Napi::Number>().DoubleValue(),
                 to = info[2].As<Napi::Number>().DoubleValue();
    if (!(from >= 0 && to >= from && to - from <= kMostBytes && to < 0x1p47)) {
        return misuse(info.Env(), "pages(pid, start, end): addresses, not more than 64 GiB apart");
    }
    const int process_id = info[0].As<Napi::Number>().Int32Value();
    const AddressRange range = {static_cast<uint64_t>(from) & ~(kHeapPageBytes - 1),
                                static_cast<uint64_t>(to)};
    const size_t count = (range.end - range.start + kHeapPageBytes - 1) / kHeapPageBytes;
    Napi::Object result = Napi::Object::New(info.Env());
    look(info.Env(), [&](HeapLedger& ledger, const HeapView& view) -> MaybeFailure {
        PageMap page_map(process_id);
        if (!page_map.is_open()) return cannot_look(process_id, page_map.open_errno());
        std::vector<AddressRange> pages(count);
        for (size_t i = 0; i < count; ++i) {
            pages[i] = {range.start + i * kHeapPageBytes, range.start + (i + 1) * kHeapPageBytes};
        }
        const std::vector<bool> held = held_pages(page_map, pages);
        auto live = Napi::Uint16Array::New(info.Env(), count);
        auto is_held = Napi::Uint8Array::New(info.Env(), count);
        for (size_t i = 0; i < count; ++i) is_held[i] = held[i] ? 1 : 0;
        const PageUse use = page_use(ledger, view.resting, range);
        const uint64_t first_page = range.start / kHeapPageBytes;
        const auto add = [&](uint64_t page, uint64_t bytes) {
            if (page < first_page || page - first_page >= count) return;
            const size_t at = page - first_page;
            live[at] = static_cast<uint16_t>(std::min<uint64_t>(live[at] + bytes, kHeapPageBytes));
        };
        for (const PagePiece& piece : use.pieces) add(piece.page, piece.bytes);
        for (const PageUse::Covered& covered : use.covered) {
            for (uint64_t page = covered.first; page < covered.end; ++page) add(page, kHeapPageBytes);
        }
        result.Set("liveBytes", live);
        result.Set("held", is_held);
        return {};
    });
    return result;
}

Napi::Value HeapObject::glibc_heaps(const Napi::CallbackInfo& info) {
    if (!are_glibc_arguments(info)) {
        return misuse(info.Env(), "glibcHeaps(pid, main, anonymous): a number and two Float64Arrays");
    }
    Napi::Value result;
    look(info.Env(), [&](HeapLedger& ledger, const HeapView& view) -> MaybeFailure {
        const LedgerAskedBlocks blocks(ledger, view.overlay);
        result = glibc_heaps_asked(info, &blocks);
        return {};
    });
    return result;
}

Napi::Value HeapObject::asked(const Napi::CallbackInfo& info) {
    if (!info[0].IsNumber() || !is_numbers(info[1]) || !is_numbers(info[2])) {
        return misuse(info.Env(), "asked(pid, ranges, classes): a number and two Float64Arrays");
    }
    const int process_id = info[0].As<Napi::Number>().Int32Value();
    const std::vector<AddressRange> ranges = sorted_ranges_of(info[1]);
    const std::vector<uint64_t> classes = rising_numbers(info[2]);
    Napi::Object result = Napi::Object::New(info.Env());
    look(info.Env(), [&](HeapLedger& ledger, const HeapView& view) -> MaybeFailure {
        PageMap page_map(process_id);
        if (!page_map.is_open()) return cannot_look(process_id, page_map.open_errno());
        const LedgerAskedBlocks blocks(ledger, view.overlay);
        const AskedSums sums = asked_in(blocks, ranges, classes, page_map);
        set(result, "blocks", sums.blocks);
        set(result, "bytes", sums.bytes);
        set(result, "slackBytes", sums.slack_bytes);
        set(result, "slackResidentBytes", sums.slack_resident_bytes);
        set(result, "slackBytesVariance", sums.slack_variance);
        set(result, "unclassedBytes", sums.unclassed_bytes);
        set(result, "residentBytes", sums.knows_pages ? static_cast<double>(sums.resident_bytes) : -1);
        return {};
    });
    return result;
}

Napi::Value HeapObject::hold(const Napi::CallbackInfo& info) {
    drain_.hold();
    return info.Env().Undefined();
}

Napi::Value HeapObject::let_go(const Napi::CallbackInfo& info) {
    drain_.let_go();
    return info.Env().Undefined();
}

Napi::Value HeapObject::finish(const Napi::CallbackInfo& info) {
    if (auto failure = drain_.finish()) return fail(info.Env(), *failure);
    return info.Env().Undefined();
}

Napi::Value HeapObject::close(const Napi::CallbackInfo& info) {
    drain_.close();
    return info.Env().Undefined();
}

}  // namespace offheap::addon
