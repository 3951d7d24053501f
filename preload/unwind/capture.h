// The unwinder's interface: registers in, addresses out.
//
// Async-signal-safe throughout: no allocation, no lock, no errno, no fault, a few hundred bytes of stack. It
// may run in a signal handler, under the loader's lock, and on an alternate stack.
#pragma once

#include <stdint.h>

#include "preload/unwind/registers.h"

namespace offheap::unwind {

// Why a walk ended. Only `end_of_stack` means that the stack is complete.
enum class Stop : uint8_t {
    end_of_stack,      // the frame that nothing called: a thread's or a coroutine's first function
    capacity,          // the buffer is full: capture again into a larger one
    no_unwind_info,    // code without .eh_frame whose frame pointer leads nowhere
    unreadable_stack,  // a rule points outside the memory that can be read
    unsupported_rule,  // a rule that needs a register whose value is unknown by now
    no_progress,       // the caller's frame would lie below its callee's
};

// Addresses [low, high) known to be readable on the stack in use. One per thread, owned by the caller, zero
// at first; zero it again whenever the thread unmaps, moves or protects memory inside it.
struct StackWindow {
    uint64_t low;
    uint64_t high;
};

struct Capture {
    uint32_t count;
    Stop stop;
};

// Writes the stack's frames, leaf first, into `frames` (`capacity` >= 1). A frame is an address with its kind
// in the top byte (wire::kKeyKindShift): the leaf and frames that a signal interrupted are exact, all others
// return addresses.
//
// What `frames` holds beforehand never changes the result, but if it is the last capture of this thread, the
// walk is about twice as fast: old frames are predictions that let the processor read ahead of the stack.
Capture capture(const Registers& registers, StackWindow& window, uint64_t* frames, uint32_t capacity);

// False where libc has no _dl_find_object (glibc < 2.35): every frame then rests on frame pointers.
bool has_table_lookup();

// Forgets all cached rules and remembered stacks. To be called when a module was unloaded (dlclose): its
// addresses may be used again.
void invalidate_all();

// Forgets the remembered stacks only. To be called when code was mapped from a file: it may lie where a
// compiler's code lay, which no module held and no rule is cached for.
void invalidate_stacks();

}  // namespace offheap::unwind
