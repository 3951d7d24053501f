// System-call instructions found and rewritten in code made by hand, and what is said of them.
#include "preload/hook/sites.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "native/wire/layout.h"
#include "preload/hook/modules.h"
#include "preload/record/seeds.h"
#include "test/native/arrived_calls.h"
#include "test/native/code_buffer.h"
#include "test/native/private_folder.h"

namespace offheap::hook {
namespace {

using test::arrived_calls;
using test::CodeBuffer;

int protection_of(uint64_t address) {
    struct Search {
        uint64_t address;
        int protection = -1;
    } search = {address};
    record::visit_maps(
        [](void* context, const record::MapsLine& line) {
            auto* wanted = static_cast<Search*>(context);
            if (wanted->address >= line.start && wanted->address < line.end)
                wanted->protection = line.protection;
        },
        &search);
    return search.protection;
}

// mov $number, %eax; syscall; ret; and where the next function begins, which ends the padding
void put_wrapper(CodeBuffer& code, uint64_t offset, int number) {
    code.put(offset, {0xb8, number & 255, number >> 8, 0, 0, 0x0f, 0x05, 0xc3});
    if (code.byte(offset + 16) == 0xcc) code.put(offset + 16, {0xc3});
}

TEST(RewriteSites, diverts_the_calls_that_change_mappings) {
    CodeBuffer code;
    put_wrapper(code, 0, SYS_munmap);
    put_wrapper(code, 16, SYS_getpid);
    code.put(32, {0x48, 0xc7, 0xc0, SYS_madvise, 0, 0, 0, 0x0f, 0x05, 0xc3});  // mov $28, %rax
    put_wrapper(code, 48, SYS_process_madvise);
    code.make_executable();
    EXPECT_EQ(rewrite_sites(code.module(), SiteScope::kOther), 3u);
    arrived_calls = {};
    EXPECT_EQ(code.call(0, 1, 1), -EINVAL);
    EXPECT_EQ(arrived_calls.count, 1u);
    EXPECT_EQ(code.call(16), getpid());
    EXPECT_EQ(arrived_calls.count, 1u) << "other calls are no business of ours";
    EXPECT_EQ(code.call(32, 1, 1, 0), -EINVAL);
    EXPECT_EQ(arrived_calls.count, 2u);
    EXPECT_EQ(arrived_calls.last.rax, uint64_t{SYS_madvise});
    EXPECT_LT(code.call(48, -1, 0, 0), 0);
    EXPECT_EQ(arrived_calls.count, 3u);
    EXPECT_EQ(protection_of(code.address(0)), PROT_READ | PROT_EXEC);
}

TEST(RewriteSites, leaves_a_site_without_padding_as_it_is) {
    CodeBuffer code;
    code.fill(0, CodeBuffer::kBytes, 0x90);
    put_wrapper(code, 0, SYS_munmap);
    code.make_executable();
    EXPECT_EQ(rewrite_sites(code.module(), SiteScope::kOther), 0u);
    EXPECT_EQ(code.byte(5), 0x0f);
    EXPECT_EQ(code.byte(6), 0x05);
    arrived_calls = {};
    EXPECT_EQ(code.call(0, 1, 1), -EINVAL);
    EXPECT_EQ(arrived_calls.count, 0u);
}

TEST(RewriteSites, lets_two_sites_share_one_padding) {
    CodeBuffer code;
    code.fill(0, CodeBuffer::kBytes, 0x90);
    put_wrapper(code, 0, SYS_munmap);
    put_wrapper(code, 16, SYS_mprotect);
    code.fill(42, 6, 0xcc);
    code.make_executable();
    EXPECT_EQ(rewrite_sites(code.module(), SiteScope::kOther), 2u);
    arrived_calls = {};
    EXPECT_EQ(code.call(0, 1, 1), -EINVAL);
    EXPECT_EQ(arrived_calls.last.rip, code.address(7));
    EXPECT_EQ(code.call(16, 1, 1, 0), -EINVAL);
    EXPECT_EQ(arrived_calls.last.rip, code.address(23));
    EXPECT_EQ(arrived_calls.count, 2u);
}

TEST(RewriteSites, knows_the_function_syscall_in_libc_only) {
    for (const SiteScope scope : {SiteScope::kOther, SiteScope::kLibc}) {
        CodeBuffer code;
        // mov %edi, %eax; mov %rsi, %rdi; mov %rdx, %rsi; mov 8(%rsp), %r9; syscall; ret
        code.put(0, {0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x4c, 0x8b, 0x4c, 0x24, 0x08, 0x0f, 0x05,
                     0xc3});
        code.put(32, {0xc3});
        code.make_executable();
        const bool in_libc = scope == SiteScope::kLibc;
        EXPECT_EQ(rewrite_sites(code.module(), scope), in_libc ? 1u : 0u);
        arrived_calls = {};
        EXPECT_EQ(code.call(0, SYS_getpid), getpid());
        EXPECT_EQ(arrived_calls.count, 0u);
        EXPECT_EQ(code.call(0, SYS_munmap, 1, 1), -EINVAL);
        EXPECT_EQ(arrived_calls.count, in_libc ? 1u : 0u);
    }
    EXPECT_TRUE(is_rewritten(wire::Operation::kNone));
    EXPECT_FALSE(is_rewritten(wire::Operation::kMunmap)) << "other modules' sites are no sites of libc";
}

TEST(RewriteSites, looks_no_further_than_the_module) {
    CodeBuffer code;
    code.put(0, {SYS_munmap, 0, 0, 0, 0x0f, 0x05, 0xc3});  // its mov would begin before the code
    code.put(CodeBuffer::kBytes - 6, {0xb8, SYS_munmap, 0, 0, 0, 0x0f});
    code.make_executable();
    EXPECT_EQ(rewrite_sites(code.module(), SiteScope::kOther), 0u);
}

TEST(PublishSites, says_what_became_of_each) {
    CodeBuffer rewritten, refused;
    put_wrapper(rewritten, 0, SYS_munmap);
    rewritten.make_executable();
    refused.fill(0, CodeBuffer::kBytes, 0x90);
    put_wrapper(refused, 64, SYS_brk);
    refused.make_executable();
    rewrite_sites(rewritten.module(), SiteScope::kOther);
    rewrite_sites(refused.module(), SiteScope::kOther);

    const test::PrivateFolder folder;
    record::Channel channel;
    ASSERT_TRUE(channel.create(folder.configuration(64), record::Parent()));
    publish_sites(channel);
    const wire::Header* header = channel.header();
    const auto* sites = reinterpret_cast<const wire::Site*>(channel.address() + header->sites_offset);
    const auto find = [&](uint64_t address) -> const wire::Site* {
        for (uint64_t i = header->sites_used; i-- > 0;) {  // the latest: other tests' code lay there too
            if (sites[i].address == address) return &sites[i];
        }
        return nullptr;
    };
    const wire::Site* good = find(rewritten.address(5));
    const wire::Site* bad = find(refused.address(69));
    ASSERT_TRUE(good != nullptr && bad != nullptr);
    EXPECT_EQ(good->state, static_cast<uint8_t>(wire::SiteState::kPatched));
    EXPECT_EQ(good->operation, static_cast<uint8_t>(wire::Operation::kMunmap));
    EXPECT_EQ(good->patched_bytes, rewritten.byte(5) | rewritten.byte(6) << 8)
        << "what a later check compares with";
    EXPECT_EQ(bad->state, static_cast<uint8_t>(wire::SiteState::kUnpatchable));
    EXPECT_EQ(bad->operation, static_cast<uint8_t>(wire::Operation::kBrk));
    const auto* text = reinterpret_cast<const char*>(channel.address() + header->text_offset + good->text);
    EXPECT_EQ(std::string(text + 2, 4), "code");
    EXPECT_NE(header->degraded & 1u << static_cast<unsigned>(wire::Degradation::kSitesUnpatchable), 0u);
    const uint64_t before = header->sites_used;
    publish_sites(channel);
    EXPECT_EQ(header->sites_used, before) << "each site once";
}

}  // namespace
}  // namespace offheap::hook
