#include "native/lines/inlined_calls.h"

#include <gtest/gtest.h>
#include <stdint.h>
#include <stdlib.h>

#include "native/lines/libbacktrace_records.h"

namespace offheap::lines::inlined_calls {
namespace {

constexpr Range kEnd = {UINT64_MAX, UINT64_MAX, nullptr};

// As libbacktrace looks it up: the last range that begins at or before an address, if it holds it.
const char* name_at(const Function& outer, uint64_t address) {
    const Range* found = nullptr;
    for (size_t i = 0; i < outer.call_count; ++i) {
        if (outer.calls[i].low <= address) found = &outer.calls[i];
    }
    return found != nullptr && address < found->high ? found->function->name : nullptr;
}

TEST(InlinedCalls, BelongToTheInnermostRangeThatHoldsAnAddress) {
    Function wide = {"wide", "", 1, nullptr, 0};
    Function narrow = {"narrow", "", 2, nullptr, 0};
    Function late = {"late", "", 3, nullptr, 0};
    Range calls[] = {{10, 100, &wide}, {20, 30, &narrow}, {90, 120, &late}, kEnd};
    Function outer = {"outer", nullptr, 0, calls, 3};
    Range functions[] = {{0, 200, &outer}, kEnd};
    EXPECT_EQ(name_at(outer, 50), nullptr);

    module_begun();
    units_read();
    table_sorted(functions, 1);
    EXPECT_TRUE(repair());
    for (uint64_t address = 0; address < 200; ++address) {
        const bool is_inlined = address >= 10 && address < 120;
        const char* wanted = !is_inlined                     ? nullptr
                             : address >= 90                 ? "late"
                             : address >= 20 && address < 30 ? "narrow"
                                                             : "wide";
        EXPECT_STREQ(name_at(outer, address), wanted) << address;
    }
    EXPECT_EQ(outer.calls[outer.call_count].low, UINT64_MAX);
    EXPECT_FALSE(repair());
    free(outer.calls);
}

TEST(InlinedCalls, LeavesTablesOfUnitsAndOthersAlone) {
    Function inner = {"inner", "", 1, nullptr, 0};
    Range calls[] = {{10, 100, &inner}, {20, 30, &inner}, kEnd};
    Function outer = {"outer", nullptr, 0, calls, 2};
    Range table[] = {{0, 200, &outer}, kEnd};
    module_begun();
    table_sorted(table, 1);
    units_read();
    Range lines[] = {{0, 200, &outer}, {UINT64_MAX, 0, nullptr}};
    table_sorted(lines, 1);
    EXPECT_FALSE(repair());
    EXPECT_EQ(outer.calls, calls);
}

}  // namespace
}  // namespace offheap::lines::inlined_calls
