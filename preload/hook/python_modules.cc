#include "preload/hook/python_modules.h"

#include "preload/hook/elf_image.h"
#include "preload/hook/exports.h"
#include "preload/hook/process.h"
#include "preload/python/interpreter.h"
#include "preload/runtime/text.h"
#include "preload/unwind/rule_compiler.h"

namespace offheap::hook {

bool may_hold_python(const char* name) { return runtime::text_starts(name, "libpython"); }

bool look_for_python(uint64_t base) {
    if (!process.configuration.python_frames) return true;
    const ElfImage image(base);
    const uint64_t runtime = find_export(image, "_PyRuntime").start;
    if (runtime == 0) return true;
    const Extent evaluator = find_export(image, "_PyEval_EvalFrameDefault");
    const bool is_known = python::adopt({
        .runtime = runtime,
        .version = find_export(image, "Py_Version").start,
        .code_type = find_export(image, "PyCode_Type").start,
        .since_310 = find_export(image, "PyIter_Send").start,
        .since_39 = find_export(image, "PyFrame_GetCode").start,
        .evaluator = {evaluator.start, evaluator.end},
    });
    // -X perf, and sys.activate_stack_trampoline at any time.
    __atomic_store_n(&unwind::has_trampolines, true, __ATOMIC_RELAXED);
    return is_known;
}

}  // namespace offheap::hook
