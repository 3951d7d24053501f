#include "test/native/verify/libunwind.h"

#include <dlfcn.h>

#include <type_traits>

#define OFFHEAP_TEXT(name) #name
#define OFFHEAP_NAME(name) OFFHEAP_TEXT(name)

namespace offheap::verify {

Libunwind libunwind;

bool load_libunwind() {
    void* library = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (library == nullptr) return false;
    const auto find = [&](auto& function, const char* name) {
        function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
        return function != nullptr;
    };
    // The names are macros.
    return find(libunwind.get_context, OFFHEAP_NAME(unw_tdep_getcontext)) &&
           find(libunwind.init_local, OFFHEAP_NAME(unw_init_local)) &&
           find(libunwind.get_register, OFFHEAP_NAME(unw_get_reg)) &&
           find(libunwind.step, OFFHEAP_NAME(unw_step));
}

}  // namespace offheap::verify
