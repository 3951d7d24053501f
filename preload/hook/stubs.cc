#include "preload/hook/stubs.h"

#include <sys/mman.h>

#include "preload/hook/operations.h"
#include "preload/hook/process.h"
#include "preload/runtime/raw_syscall.h"

extern "C" {
void offheap_trampoline();
}

namespace offheap::hook {

using namespace offheap::runtime;

namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kLargestStubBytes = 48;
constexpr int kMapFixedNoReplace = 0x100000;

// At the head of the page: the trampoline's address and the set of interesting system-call numbers.
struct PageHead {
    void (*trampoline)();
    uint8_t numbers[(kLargestNumber + 8) / 8];
};

}  // namespace

bool StubPage::map(uint64_t near) {
    // Any free page in reach will do: try ever farther below and above, in steps that leave the neighbours
    // room to grow.
    constexpr uint64_t kStep = 1u << 21;
    constexpr uint64_t kReach = (1ULL << 31) - (1u << 24);
    for (uint64_t distance = kStep; distance < kReach; distance += kStep) {
        for (int side = 0; side < 2; ++side) {
            const bool below = side == 0;
            if (below && near < distance + (1u << 16)) continue;
            const uint64_t wanted = (below ? near - distance : near + distance) & ~(kPageBytes - 1);
            const long got =
                raw_syscall(kSysMmap, static_cast<long>(wanted), kPageBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | kMapFixedNoReplace, -1, 0);
            if (is_error(got)) continue;
            address_ = static_cast<uint64_t>(got);
            const int64_t offset = static_cast<int64_t>(address_ - near);
            if (offset > static_cast<int64_t>(kReach) || offset < -static_cast<int64_t>(kReach)) {
                raw_syscall(kSysMunmap, got,
                            kPageBytes);  // a kernel before 4.17 takes the address as a hint only
                address_ = 0;
                return false;
            }
            auto* head = reinterpret_cast<PageHead*>(address_);
            head->trampoline = offheap_trampoline;
            for (uint32_t number = 0; number <= kLargestNumber; ++number) {
                if (is_intercepted(number)) head->numbers[number / 8] |= uint8_t(1u << number % 8);
            }
            at_ = reinterpret_cast<uint8_t*>(address_) + (sizeof(PageHead) + 15) / 16 * 16;
            note_own_mapping(address_, kPageBytes);
            return true;
        }
    }
    return false;
}

uint8_t* StubPage::put(const void* bytes, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) *at_++ = static_cast<const uint8_t*>(bytes)[i];
    return at_;
}

// The 32-bit distance from the end of the instruction that it closes.
uint8_t* StubPage::put_relative(uint64_t target) {
    const auto distance = static_cast<int32_t>(target - (reinterpret_cast<uint64_t>(at_) + 4));
    return put(&distance, 4);
}

uint64_t StubPage::add(StubKind kind, uint64_t resume) {
    if (at_ + kLargestStubBytes > reinterpret_cast<uint8_t*>(address_ + kPageBytes)) return 0;
    const auto stub = reinterpret_cast<uint64_t>(at_);
    uint8_t* branches[2] = {};
    uint32_t branch_count = 0;
    if (kind == StubKind::kGeneric) {
        const uint32_t largest = kLargestNumber;
        put("\x48\x3d", 2);  // cmp $largest, %rax
        put(&largest, 4);
        branches[branch_count++] = put("\x77\x00", 2);  // ja pass
        put("\x48\x0f\xa3\x05", 4);                     // bt %rax, numbers(%rip)
        put_relative(address_ + __builtin_offsetof(PageHead, numbers));
        branches[branch_count++] = put("\x73\x00", 2);  // jnc pass
    } else if (kind == StubKind::kGo) {
        // A goroutine's stack may end 800 bytes further down, too close for a handler. Such stacks lie in
        // Go's heap, below 1 TiB; those of the kernel and of threads never do.
        put("\x48\x89\xe1\x48\xc1\xe9\x28", 7);         // mov %rsp, %rcx; shr $40, %rcx
        branches[branch_count++] = put("\x74\x00", 2);  // jz pass
    }
    put("\x48\x8d\x0d", 3);  // lea resume(%rip), %rcx
    put_relative(resume);
    put("\xff\x25", 2);  // jmp *trampoline(%rip)
    put_relative(address_ + __builtin_offsetof(PageHead, trampoline));
    if (branch_count > 0) {
        for (uint32_t i = 0; i < branch_count; ++i) branches[i][-1] = static_cast<uint8_t>(at_ - branches[i]);
        put("\x0f\x05\xe9", 3);  // pass: syscall; jmp resume
        put_relative(resume);
    }
    return stub;
}

uint64_t StubPage::add_shared(StubKind kind, uint32_t number, uint64_t resume, uint64_t otherwise) {
    if (at_ + 2 * kLargestStubBytes > reinterpret_cast<uint8_t*>(address_ + kPageBytes)) return 0;
    const auto stub = reinterpret_cast<uint64_t>(at_);
    put("\x3d", 1);  // cmp $number, %eax
    put(&number, 4);
    put("\x0f\x85", 2);  // jne otherwise
    put_relative(otherwise);
    add(kind, resume);
    return stub;
}

bool StubPage::seal() {
    constexpr int kCode = PROT_READ | PROT_EXEC;
    const bool sealed = !is_error(raw_syscall(kSysMprotect, static_cast<long>(address_), kPageBytes, kCode));
    if (sealed) note_own_protection(address_, kPageBytes, kCode);
    return sealed;
}

}  // namespace offheap::hook
