#include "test/native/arrived_calls.h"

#include "preload/runtime/raw_syscall.h"

namespace offheap::test {

ArrivedCalls arrived_calls;

}  // namespace offheap::test

extern "C" __attribute__((visibility("hidden"))) void offheap_on_system_call(
    offheap::hook::SystemCallFrame* frame) {
    offheap::test::ArrivedCalls& arrived = offheap::test::arrived_calls;
    ++arrived.count;
    arrived.last = *frame;
    arrived.stack_pointer = frame->stack_pointer();
    const auto argument = [](uint64_t value) { return static_cast<long>(value); };
    frame->rax = static_cast<uint64_t>(offheap::runtime::raw_syscall(
        argument(frame->rax), argument(frame->rdi), argument(frame->rsi), argument(frame->rdx),
        argument(frame->r10), argument(frame->r8), argument(frame->r9)));
}
