#include "native/addon/guarded_page.h"

#include <signal.h>
#include <sys/mman.h>

#include <atomic>
#include <mutex>

#include "native/wire/layout.h"

namespace offheap::addon {
namespace {

// Initial-exec: a lazily allocated thread-local would call malloc from inside the signal handler.
#define OFFHEAP_HANDLER_LOCAL static thread_local __attribute__((tls_model("initial-exec")))
OFFHEAP_HANDLER_LOCAL uint8_t* volatile t_page = nullptr;
OFFHEAP_HANDLER_LOCAL volatile bool t_faulted = false;
#undef OFFHEAP_HANDLER_LOCAL

struct sigaction g_previous;

void on_bus_error(int signal_number, siginfo_t* information, void* context) {
    uint8_t* const page = t_page;
    auto* const address = static_cast<uint8_t*>(information->si_addr);
    if (page != nullptr && address >= page && address < page + wire::kPageBytes &&
        mmap(page, wire::kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
             0) == page) {
        t_faulted = true;
        return;
    }
    const bool sent = information->si_code <= 0;  // by kill(), not by a fault
    if ((g_previous.sa_flags & SA_SIGINFO) != 0) {
        g_previous.sa_sigaction(signal_number, information, context);
    } else if (g_previous.sa_handler != SIG_DFL && g_previous.sa_handler != SIG_IGN) {
        g_previous.sa_handler(signal_number);
    } else if (!sent || g_previous.sa_handler == SIG_DFL) {
        // On return a faulting instruction runs again, a sent signal arrives again, and either meets what it
        // would have met without this handler.
        sigaction(SIGBUS, &g_previous, nullptr);
        if (sent) raise(signal_number);
    }
}

void install_handler() {
    static std::once_flag once;
    std::call_once(once, [] {
        struct sigaction action = {};
        action.sa_sigaction = on_bus_error;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigemptyset(&action.sa_mask);
        sigaction(SIGBUS, &action, &g_previous);
    });
}

}  // namespace

bool GuardedPage::map(int file) {
    install_handler();
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
    t_faulted = false;
    t_page = base_;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    access();
    std::atomic_signal_fence(std::memory_order_seq_cst);
    t_page = nullptr;
    gone_ = t_faulted;
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
