// C++ operators new and delete of allocators that bring their own. What follows the size or the block (an
// alignment, a size, std::nothrow) is passed on as it came; exceptions pass through.
#include "preload/hook/allocation_record.h"
#include "preload/hook/allocations.h"

namespace offheap::hook {

namespace {

template <uint32_t kIndex>
void* hooked_new(size_t bytes, uint64_t second, uint64_t third) {
    return allocated(hooked_operators[kIndex].original.as_new(bytes, second, third), bytes);
}

template <uint32_t kIndex>
void hooked_delete(void* block, uint64_t second, uint64_t third) {
    released(block);
    hooked_operators[kIndex].original.as_delete(block, second, third);
}

}  // namespace

#define OFFHEAP_NEW(index, name)                \
    {                                           \
        name, {.as_new = hooked_new<index>}, {} \
    }
#define OFFHEAP_DELETE(index, name)                   \
    {                                                 \
        name, {.as_delete = hooked_delete<index>}, {} \
    }
HookedOperator hooked_operators[kHookedOperators] = {
    OFFHEAP_NEW(0, "_Znwm"),
    OFFHEAP_NEW(1, "_Znam"),
    OFFHEAP_NEW(2, "_ZnwmRKSt9nothrow_t"),
    OFFHEAP_NEW(3, "_ZnamRKSt9nothrow_t"),
    OFFHEAP_NEW(4, "_ZnwmSt11align_val_t"),
    OFFHEAP_NEW(5, "_ZnamSt11align_val_t"),
    OFFHEAP_NEW(6, "_ZnwmSt11align_val_tRKSt9nothrow_t"),
    OFFHEAP_NEW(7, "_ZnamSt11align_val_tRKSt9nothrow_t"),
    OFFHEAP_DELETE(8, "_ZdlPv"),
    OFFHEAP_DELETE(9, "_ZdaPv"),
    OFFHEAP_DELETE(10, "_ZdlPvm"),
    OFFHEAP_DELETE(11, "_ZdaPvm"),
    OFFHEAP_DELETE(12, "_ZdlPvRKSt9nothrow_t"),
    OFFHEAP_DELETE(13, "_ZdaPvRKSt9nothrow_t"),
    OFFHEAP_DELETE(14, "_ZdlPvSt11align_val_t"),
    OFFHEAP_DELETE(15, "_ZdaPvSt11align_val_t"),
    OFFHEAP_DELETE(16, "_ZdlPvmSt11align_val_t"),
    OFFHEAP_DELETE(17, "_ZdaPvmSt11align_val_t"),
    OFFHEAP_DELETE(18, "_ZdlPvSt11align_val_tRKSt9nothrow_t"),
    OFFHEAP_DELETE(19, "_ZdaPvSt11align_val_tRKSt9nothrow_t"),
};
#undef OFFHEAP_NEW
#undef OFFHEAP_DELETE

}  // namespace offheap::hook
