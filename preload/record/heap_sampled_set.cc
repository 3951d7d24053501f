#include "preload/record/heap_sampled_set.h"

#include <sys/mman.h>

#include "preload/record/emit.h"
#include "preload/record/heap_lane.h"
#include "preload/runtime/raw_syscall.h"

namespace offheap::record {

using namespace offheap::runtime;

uint8_t sampled_filter[1u << kFilterBits];

namespace {

// Tables of growing size: few samples touch little memory. A table that has no room near an address's place
// leaves it to the next one.
constexpr uint32_t kSlotBits[] = {12, 15, 18, 21};
constexpr uint32_t kTables = 4;
constexpr uint32_t kMostProbes = 64;

constexpr uint64_t slots_before(uint32_t table) {
    uint64_t slots = 0;
    for (uint32_t i = 0; i < table; ++i) slots += 1ULL << kSlotBits[i];
    return slots;
}
constexpr uint64_t kBytes = slots_before(kTables) * sizeof(uint64_t);

// A slot holds an address, or: never used, or free again.
constexpr uint64_t kUnused = 0;
constexpr uint64_t kFree = 1;

constexpr uint8_t kSaturated = 255;

uint64_t* slots;
bool has_held;  // any address, ever

uint64_t* mapped_slots() {
    uint64_t* mapped = __atomic_load_n(&slots, __ATOMIC_ACQUIRE);  // [mapped] partner: the exchange below
    if (mapped != nullptr) return mapped;
    const long address = raw_syscall(kSysMmap, 0, kBytes, PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (is_error(address)) return nullptr;
    // Where another thread was faster, ours stays as it is, told and untouched: unmapped again, it would be a
    // call of the process that nobody is told of.
    if (own_mapping_listener != nullptr) own_mapping_listener(static_cast<uint64_t>(address), kBytes);
    auto* const ours = reinterpret_cast<uint64_t*>(address);
    return __atomic_compare_exchange_n(&slots, &mapped, ours, /*weak=*/false, __ATOMIC_RELEASE,
                                       __ATOMIC_ACQUIRE)  // [mapped]
               ? ours
               : mapped;
}

// The slots of one table that may hold an address, one after the other.
class Probe {
  public:
    Probe(uint64_t* slots, uint32_t table, uint64_t address)
        : slots_(slots + slots_before(table)),
          mask_((1ULL << kSlotBits[table]) - 1),
          // Not by the filter's bits: addresses that meet there lie apart here.
          first_(hash_address(address) << kFilterBits >> (64 - kSlotBits[table])) {}
    uint64_t* operator[](uint32_t probe) const { return &slots_[(first_ + probe) & mask_]; }

  private:
    uint64_t* slots_;
    uint64_t mask_;
    uint64_t first_;
};

uint64_t* find(uint64_t* mapped, uint64_t address) {
    for (uint32_t table = 0; table < kTables; ++table) {
        const Probe probe(mapped, table, address);
        for (uint32_t i = 0; i < kMostProbes; ++i) {
            const uint64_t value = __atomic_load_n(probe[i], __ATOMIC_ACQUIRE);  // [sampled]
            if (value == address) return probe[i];
            if (value == kUnused) break;
        }
    }
    return nullptr;
}

bool put_into_table(const Probe& probe, uint64_t address) {
    for (uint32_t i = 0; i < kMostProbes; ++i) {
        uint64_t value = __atomic_load_n(probe[i], __ATOMIC_RELAXED);
        while (value == kUnused || value == kFree) {
            if (__atomic_compare_exchange_n(probe[i], &value, address, /*weak=*/false, __ATOMIC_RELEASE,
                                            __ATOMIC_RELAXED)) {  // [sampled]
                return true;
            }
        }
    }
    return false;
}

void count_up(uint8_t& count) {
    uint8_t value = __atomic_load_n(&count, __ATOMIC_RELAXED);
    while (value != kSaturated &&
           !__atomic_compare_exchange_n(&count, &value, static_cast<uint8_t>(value + 1), /*weak=*/true,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {  // [sampled]
    }
}

// A saturated count isn't known any more; it stays, and costs a look at the set.
void count_down(uint8_t& count) {
    uint8_t value = __atomic_load_n(&count, __ATOMIC_RELAXED);
    while (value != kSaturated && value != 0 &&
           !__atomic_compare_exchange_n(&count, &value, static_cast<uint8_t>(value - 1), /*weak=*/true,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

}  // namespace

bool add_sampled(uint64_t address) {
    uint64_t* mapped = mapped_slots();
    if (mapped == nullptr) return false;
    __atomic_store_n(&has_held, true, __ATOMIC_RELAXED);
    uint8_t& count = filter_count(address);
    // There already: freed where nobody looked.
    if (__atomic_load_n(&count, __ATOMIC_RELAXED) != 0 && find(mapped, address) != nullptr) return true;
    count_up(count);
    for (uint32_t table = 0; table < kTables; ++table) {
        if (put_into_table(Probe(mapped, table, address), address)) return true;
    }
    count_down(count);
    return false;
}

bool remove_sampled(uint64_t address) {
    uint64_t* mapped = __atomic_load_n(&slots, __ATOMIC_ACQUIRE);  // [mapped]
    if (mapped == nullptr) return false;
    uint64_t* slot = find(mapped, address);
    // Of two threads that free one block, in error, one takes it.
    if (slot == nullptr || !__atomic_compare_exchange_n(slot, &address, kFree, /*weak=*/false,
                                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        return false;
    }
    count_down(filter_count(address));
    return true;
}

void forget_sampled() {
    uint64_t* mapped = __atomic_load_n(&slots, __ATOMIC_ACQUIRE);  // [mapped]
    if (mapped == nullptr || !__atomic_load_n(&has_held, __ATOMIC_RELAXED)) return;
    raw_syscall(kSysMadvise, as_argument(mapped), kBytes,
                MADV_DONTNEED);  // private memory reads as zeros then
    for (uint8_t& count : sampled_filter) __atomic_store_n(&count, 0, __ATOMIC_RELAXED);
}

void note_sampled(Channel& channel, HeapLane& lane, uint64_t address, uint64_t bytes, uint32_t stack,
                  uint32_t mean_bytes) {
    // In the set first: the block is the caller's only when we return. Told without being in the set, it
    // would live for ever.
    if (!add_sampled(address)) {
        __atomic_fetch_add(&lane.lane->events_lost, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&channel.header()->heap_events_lost, 1, __ATOMIC_RELAXED);
        return;
    }
    if (put_event(channel, lane, wire::HeapEventKind::kAllocation, address, bytes, stack, mean_bytes) == 0)
        take_sampled(address);
}

}  // namespace offheap::record
