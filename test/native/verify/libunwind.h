// libunwind beside the program and not part of it: linked, it would put its own _Unwind_Backtrace in the
// place of the C++ runtime's.
#pragma once

#define UNW_LOCAL_ONLY
#include <libunwind.h>

namespace offheap::verify {

struct Libunwind {
    decltype(&unw_tdep_getcontext) get_context;
    decltype(&unw_init_local) init_local;
    decltype(&unw_get_reg) get_register;
    decltype(&unw_step) step;
};
extern Libunwind libunwind;

// False where it can't be loaded.
bool load_libunwind();

}  // namespace offheap::verify
