// Names anonymous memory in the kernel by who has mapped it, so that pmap, smaps and a core file show it too
// (OFFHEAP_LABEL=1). Areas of different names don't merge: there are more of them, and the kernel allows so
// many.
#pragma once

#include <stdint.h>

#include "native/wire/layout.h"

namespace offheap::hook {

struct Module;

// Finds out what is needed, and whether this kernel can; returns wire::Degradation bits.
uint32_t start_labels(const Module* modules, uint32_t count);

// Names what the call of this event has just mapped, where it is anonymous and private.
void label_mapping(const wire::Event& event);

}  // namespace offheap::hook
