// System-call instructions that change mappings: finding them, rewriting them, and saying what became of
// them.
#pragma once

#include <stdint.h>

#include "preload/record/channel.h"

namespace offheap::hook {

struct Module;

// Which instructions of a module to rewrite.
enum class SiteScope : uint8_t {
    kLibc,    // wrappers and syscall()
    kLoader,  // ld.so's own wrappers
    kOther,   // inline system calls
    kGo,      // those of Go's runtime
};

// Rewrites the module's sites. Returns how many; those that could not be rewritten are listed as unpatchable.
uint32_t rewrite_sites(const Module& module, SiteScope scope);

// Copies the list of sites into a channel's header section; later ones are added as they come.
void publish_sites(record::Channel& channel);

// True when some site in libc for this operation was rewritten, so that no other interception may count it
// again.
bool is_rewritten(wire::Operation operation);

}  // namespace offheap::hook
