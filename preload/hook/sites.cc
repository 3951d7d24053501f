#include "preload/hook/sites.h"

#include <sys/mman.h>

#include "preload/hook/dead_code.h"
#include "preload/hook/exports.h"
#include "preload/hook/modules.h"
#include "preload/hook/operations.h"
#include "preload/hook/process.h"
#include "preload/hook/stubs.h"
#include "preload/runtime/raw_syscall.h"
#include "preload/runtime/text.h"

namespace offheap::hook {

using namespace offheap::runtime;

namespace {

constexpr uint32_t kMaxSites = 256;
constexpr uint32_t kMaxSitesPerModule = 64;
constexpr uint16_t kSystemCallBytes = 0x050f;  // 0f 05

struct KnownSite {
    wire::Site site;
    char module[64];
};
KnownSite known_sites[kMaxSites];
uint32_t known_site_count;
uint32_t rewritten_operations;  // bit n: wire::Operation n

struct Candidate {
    uint64_t address;
    wire::Operation operation;  // kNone for syscall(): any
    StubKind kind;
    uint32_t number;  // what the site asks for; syscall() may ask for any
    uint64_t stub, padding;
    bool shared;  // another site arrives through the same padding
};

uint16_t load16(uint64_t address) { return *reinterpret_cast<const uint16_t*>(address); }
uint32_t load32(uint64_t address) { return *reinterpret_cast<const uint32_t*>(address); }
uint8_t load8(uint64_t address) { return *reinterpret_cast<const uint8_t*>(address); }

// What the instruction before a `syscall` says of its number: `mov $imm32, %eax` (b8) or `mov $imm32, %rax`
// (48 c7 c0). In libc also `mov 8(%rsp), %r9`, the last argument of the function syscall().
bool recognise(const Module& module, SiteScope scope, uint64_t at, Candidate* candidate) {
    candidate->address = at;
    candidate->kind = scope == SiteScope::kGo ? StubKind::kGo : StubKind::kKnown;
    if (at >= module.code_start + 5 && load8(at - 5) == 0xb8) {
        candidate->number = load32(at - 4);
        candidate->operation = operation_of(candidate->number);
        if (candidate->operation != wire::Operation::kNone) return true;
    }
    if (at >= module.code_start + 7 && load8(at - 7) == 0x48 && load16(at - 6) == 0xc0c7) {
        candidate->number = load32(at - 4);
        candidate->operation = operation_of(candidate->number);
        if (candidate->operation != wire::Operation::kNone) return true;
    }
    if (scope == SiteScope::kLibc && at >= module.code_start + 5 && load32(at - 5) == 0x244c8b4c &&
        load8(at - 1) == 8) {
        candidate->operation = wire::Operation::kNone;
        candidate->kind = StubKind::kGeneric;
        return true;
    }
    return false;
}

// In `_exit` the number stands in a register: exit_group, and exit where the kernel knows no groups. Either
// may arrive there, so the stub that filters by number serves.
bool recognise_exit(uint64_t at, Candidate* candidate) {
    if (load8(at - 2) != 0x89 || (load8(at - 1) & 0xc7) != 0xc0) return false;  // mov %reg, %eax
    *candidate = {};
    candidate->address = at;
    candidate->kind = StubKind::kGeneric;
    return true;
}

class CandidateList {
  public:
    void scan(const Module& module, SiteScope scope, Extent extent) {
        for (uint64_t at = extent.start; at + 2 <= extent.end && count < kMaxSitesPerModule; ++at) {
            const uint8_t second = load8(at + 1);
            if (second != 0x05) {
                at += second != 0x0f;  // neither this byte nor the next can begin the pair
            } else if (load8(at) == 0x0f && recognise(module, scope, at, &entries[count])) {
                ++count;
            }
        }
    }

    void scan_exit(Extent extent) {
        for (uint64_t at = extent.start + 2; at + 2 <= extent.end && count < kMaxSitesPerModule; ++at) {
            if (load16(at) == kSystemCallBytes && recognise_exit(at, &entries[count])) ++count;
        }
    }

    Candidate entries[kMaxSitesPerModule] = {};
    uint32_t count = 0;
};

// libc's sites lie in its exported wrappers. Reading only those spares start-up the page faults of libc's
// whole code; where one of the wrappers that every libc has shows no site, the whole code is read after all.
void find_in_libc(const Module& module, CandidateList* candidates) {
    constexpr struct {
        const char* name;
        bool essential;
    } kWrappers[] = {{"mmap", true},
                     {"munmap", true},
                     {"mremap", true},
                     {"brk", true},
                     {"madvise", true},
                     {"syscall", true},
                     {"mprotect", true},
                     {"posix_madvise", false},
                     {"pkey_mprotect", false},
                     {"shmat", false},
                     {"shmdt", false},
                     {"remap_file_pages", false},
                     {"process_madvise", false}};
    for (const auto& wrapper : kWrappers) {
        const uint32_t before = candidates->count;
        candidates->scan(module, SiteScope::kLibc, find_export(module, wrapper.name));
        if (!wrapper.essential || candidates->count > before) continue;
        candidates->count = 0;
        candidates->scan(module, SiteScope::kLibc, {module.code_start, module.code_end});
        break;
    }
    candidates->scan_exit(find_export(module, "_exit"));
}

// Two wrapper sites may use one padding when they ask for different numbers: its stub then tells them apart
// by eax.
void share_padding(CandidateList& list, uint32_t index, StubPage& page) {
    Candidate& needy = list.entries[index];
    if (needy.kind == StubKind::kGeneric) return;
    for (uint32_t i = 0; i < list.count; ++i) {
        Candidate& owner = list.entries[i];
        const bool usable =
            owner.stub != 0 && !owner.shared && owner.kind == needy.kind && owner.number != needy.number;
        if (!usable || !in_short_reach(needy.address, owner.padding)) continue;
        const uint64_t stub = page.add_shared(needy.kind, needy.number, needy.address + 2, owner.stub);
        if (stub == 0) return;
        owner.stub = needy.stub = stub;
        owner.shared = needy.shared = true;
        needy.padding = owner.padding;
        return;
    }
}

void remember(const Module& module, const Candidate& candidate, wire::SiteState state) {
    if (known_site_count >= kMaxSites) return;
    KnownSite& known = known_sites[known_site_count];
    known.site = {candidate.address, 0,
                  state == wire::SiteState::kPatched ? load16(candidate.address) : uint16_t{0},
                  static_cast<uint8_t>(candidate.operation), static_cast<uint8_t>(state)};
    TextWriter(known.module, sizeof known.module).text(module.name);
    ++known_site_count;
}

bool protect(const Module& module, int protection) {
    return !is_error(raw_syscall(kSysMprotect, static_cast<long>(module.code_start),
                                 static_cast<long>(module.code_end - module.code_start), protection));
}

// The padding's jump first, then the two bytes of the site in one store: a thread that runs through in
// between sees the old instruction or the whole new way, and one asleep in the kernel returns behind it,
// where nothing changes.
bool write_site(const Candidate& candidate) {
    if (load16(candidate.address) != kSystemCallBytes) return false;
    auto* padding = reinterpret_cast<volatile uint8_t*>(candidate.padding);
    const uint32_t far = static_cast<uint32_t>(candidate.stub - (candidate.padding + 5));
    padding[0] = 0xe9;
    for (int i = 0; i < 4; ++i) padding[1 + i] = static_cast<uint8_t>(far >> 8 * i);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    const auto near = static_cast<uint8_t>(candidate.padding - (candidate.address + 2));
    const auto jump = static_cast<uint16_t>(0xeb | near << 8);
    *reinterpret_cast<volatile uint16_t*>(candidate.address) = jump;
    return load16(candidate.address) == jump;
}

}  // namespace

uint32_t rewrite_sites(const Module& module, SiteScope scope) {
    CandidateList list;
    if (scope == SiteScope::kLibc) {
        find_in_libc(module, &list);
    } else {
        list.scan(module, scope, {module.code_start, module.code_end});
    }
    Candidate* const candidates = list.entries;
    const uint32_t found = list.count;
    if (found == 0) return 0;

    StubPage page;
    const FunctionExtents extents(module);
    uint64_t taken[kMaxSitesPerModule];
    uint32_t ready = 0;
    const bool mapped = page.map(module.code_start);
    for (uint32_t i = 0; mapped && i < found; ++i) {
        Candidate& candidate = candidates[i];
        candidate.padding = find_padding(module, extents, candidate.address, taken, ready);
        candidate.stub = candidate.padding != 0 ? page.add(candidate.kind, candidate.address + 2) : 0;
        if (candidate.stub != 0) taken[ready++] = candidate.padding;
    }
    for (uint32_t i = 0; mapped && i < found; ++i) {
        if (candidates[i].stub == 0) share_padding(list, i, page);
    }
    // Never writable and executable at once. The module's code rests meanwhile: this runs before its first
    // use (a library being loaded) or on the only thread (the start), and the shim makes its own system
    // calls.
    const bool writable = ready > 0 && page.seal() && protect(module, PROT_READ | PROT_WRITE);
    uint32_t rewritten = 0;
    for (uint32_t i = 0; i < found; ++i) {
        const bool done = writable && candidates[i].stub != 0 && write_site(candidates[i]);
        remember(module, candidates[i], done ? wire::SiteState::kPatched : wire::SiteState::kUnpatchable);
        if (!done) continue;
        ++rewritten;
        if (scope == SiteScope::kLibc)
            rewritten_operations |= 1u << static_cast<unsigned>(candidates[i].operation);
    }
    if (writable) {
        constexpr int kCode = PROT_READ | PROT_EXEC;
        protect(module, kCode);
        note_own_protection(module.code_start, module.code_end - module.code_start, kCode);
    }
    return rewritten;
}

void publish_sites(record::Channel& channel) {
    wire::Header* header = channel.header();
    auto* sites = reinterpret_cast<wire::Site*>(channel.address() + header->sites_offset);
    uint64_t count = header->sites_used;
    for (; count < known_site_count && count < header->sites_capacity; ++count) {
        sites[count] = known_sites[count].site;
        sites[count].text =
            channel.add_text(known_sites[count].module, text_length(known_sites[count].module));
        if (sites[count].state == static_cast<uint8_t>(wire::SiteState::kUnpatchable)) {
            channel.degrade(wire::Degradation::kSitesUnpatchable);
        }
    }
    __atomic_store_n(&header->sites_used, count, __ATOMIC_RELEASE);
}

bool is_rewritten(wire::Operation operation) {
    // A kernel call through syscall() (kNone) has a bit of its own.
    return (rewritten_operations >> static_cast<unsigned>(operation) & 1) != 0;
}

}  // namespace offheap::hook
