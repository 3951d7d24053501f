#include "preload/unwind/rule_cache.h"

#include "preload/unwind/capture.h"

namespace offheap::unwind {

constinit RuleCache rule_cache{};

void invalidate_all() { rule_cache.invalidate(); }

void invalidate_stacks() { rule_cache.invalidate_stacks(); }

}  // namespace offheap::unwind
