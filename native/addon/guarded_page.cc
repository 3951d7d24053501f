#include "native/addon/guarded_page.h"

#include <sys/mman.h>

#include "native/addon/bus_guard.h"
#include "native/wire/layout.h"

namespace offheap::addon {

bool GuardedPage::map(int file) {
    install_bus_guard();
    unmap();
    void* base = mmap(nullptr, wire::kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (base == MAP_FAILED) return false;
    base_ = static_cast<uint8_t*>(base);
    gone_ = false;
    return true;
}

void GuardedPage::unmap() {
    if (base_ != nullptr) munmap(base_, wire::kPageBytes);
    base_ = nullptr;
}

template <typename Access>
bool GuardedPage::guarded(Access access) {
    if (base_ == nullptr || gone_) return false;
    gone_ = !guarded_access(base_, wire::kPageBytes, access);
    return !gone_;
}

bool GuardedPage::store_release(uint64_t offset_bytes, uint64_t value) {
    auto* word = reinterpret_cast<uint64_t*>(base_ + offset_bytes);
    return guarded([=] { __atomic_store_n(word, value, __ATOMIC_RELEASE); });
}

bool GuardedPage::store_release(uint64_t offset_bytes, uint32_t value) {
    auto* word = reinterpret_cast<uint32_t*>(base_ + offset_bytes);
    return guarded([=] { __atomic_store_n(word, value, __ATOMIC_RELEASE); });
}

bool GuardedPage::load(uint64_t offset_bytes, uint32_t& value) {
    const auto* word = reinterpret_cast<const uint32_t*>(base_ + offset_bytes);
    return guarded([&] { value = __atomic_load_n(word, __ATOMIC_ACQUIRE); });
}

bool GuardedPage::or_release(uint64_t offset_bytes, uint64_t bits) {
    auto* word = reinterpret_cast<uint64_t*>(base_ + offset_bytes);
    return guarded([=] { __atomic_fetch_or(word, bits, __ATOMIC_RELEASE); });
}

template <typename Word>
bool GuardedPage::exchange(uint64_t offset_bytes, Word& expected, Word desired) {
    auto* word = reinterpret_cast<Word*>(base_ + offset_bytes);
    return guarded([&] {
        __atomic_compare_exchange_n(word, &expected, desired, /*weak=*/false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE);
    });
}

bool GuardedPage::compare_exchange(uint64_t offset_bytes, uint32_t& expected, uint32_t desired) {
    return exchange(offset_bytes, expected, desired);
}

bool GuardedPage::compare_exchange(uint64_t offset_bytes, uint64_t& expected, uint64_t desired) {
    return exchange(offset_bytes, expected, desired);
}

}  // namespace offheap::addon
