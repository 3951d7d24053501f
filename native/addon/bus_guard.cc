#include "native/addon/bus_guard.h"

#include <signal.h>
#include <sys/mman.h>

#include <mutex>

#include "native/wire/layout.h"

namespace offheap::addon {
namespace {

// Initial-exec: a lazily allocated thread-local would call malloc from inside the signal handler.
#define OFFHEAP_HANDLER_LOCAL static thread_local __attribute__((tls_model("initial-exec")))
OFFHEAP_HANDLER_LOCAL uint8_t* volatile t_base = nullptr;
OFFHEAP_HANDLER_LOCAL volatile size_t t_bytes = 0;
OFFHEAP_HANDLER_LOCAL volatile bool t_faulted = false;
#undef OFFHEAP_HANDLER_LOCAL

struct sigaction g_previous;

bool put_page_of_zeros(uint8_t* address) {
    uint8_t* const base = t_base;
    if (base == nullptr || address < base || address >= base + t_bytes) return false;
    void* const page = address - (reinterpret_cast<uintptr_t>(address) % wire::kPageBytes);
    return mmap(page, wire::kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                0) == page;
}

void on_bus_error(int signal_number, siginfo_t* information, void* context) {
    if (put_page_of_zeros(static_cast<uint8_t*>(information->si_addr))) {
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

}  // namespace

void install_bus_guard() {
    static std::once_flag once;
    std::call_once(once, [] {
        struct sigaction action = {};
        action.sa_sigaction = on_bus_error;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        sigemptyset(&action.sa_mask);
        sigaction(SIGBUS, &action, &g_previous);
    });
}

void begin_bus_guard(uint8_t* base, size_t bytes) {
    t_faulted = false;
    t_bytes = bytes;
    t_base = base;
}

bool end_bus_guard() {
    t_base = nullptr;
    return !t_faulted;
}

}  // namespace offheap::addon
