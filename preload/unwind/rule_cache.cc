#include "preload/unwind/rule_cache.h"

#include "preload/unwind/capture.h"

namespace offheap::unwind {

constinit RuleCache rule_cache{};

void invalidate_all() { rule_cache.invalidate(); }

}  // namespace offheap::unwind
