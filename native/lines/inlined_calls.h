// libbacktrace keeps the calls that were inlined into a function as a table of address ranges, and looks for
// the last one that begins at or before an address. Where ranges overlap that one may have ended, and what
// holds the address is missed (until gcc 15): one address in a hundred of C++ code. Its tables pass here when
// they are sorted, and are replaced by such without overlaps.
#pragma once

#include <stddef.h>

namespace offheap::lines::inlined_calls {

// A module is about to be read: first come tables of its units, up to `units_read`, then those of its
// functions.
void module_begun();
void units_read();

// A table of 24-byte records was sorted.
void table_sorted(void* records, size_t count);

// Mends the tables that were sorted since the last time; returns whether any was in need of it.
bool repair();

}  // namespace offheap::lines::inlined_calls
