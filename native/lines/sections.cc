#include "native/lines/sections.h"

#include <backtrace.h>
#include <elf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <vector>

// Of libbacktrace, for its own tests: the old form of compressed sections, which is "ZLIB", the size,
// big-endian, and what zlib made.
extern "C" int backtrace_uncompress_zdebug(backtrace_state*, const unsigned char* compressed,
                                           size_t compressed_bytes, backtrace_error_callback, void* data,
                                           unsigned char** uncompressed, size_t* uncompressed_bytes);

namespace offheap::lines {
namespace {

// What is larger than this is no debug section that anybody made.
constexpr uint64_t kMostUncompressedBytes = 4ULL << 30;

Bytes part(Bytes bytes, uint64_t offset, uint64_t count) {
    if (offset > bytes.size() || count > bytes.size() - offset) return {};
    return bytes.subspan(offset, count);
}

template <typename Record>
bool copy(Bytes bytes, uint64_t offset, Record& record) {
    const Bytes found = part(bytes, offset, sizeof record);
    if (found.empty()) return false;
    memcpy(&record, found.data(), sizeof record);
    return true;
}

void ignore(void*, const char*, int) {}

}  // namespace

Sections::Sections(int descriptor, backtrace_state* state) : state_(state) {
    struct stat status = {};
    if (fstat(descriptor, &status) != 0 || status.st_size <= 0) return;
    const auto bytes = static_cast<size_t>(status.st_size);
    void* mapped = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (mapped != MAP_FAILED) file_ = {static_cast<const uint8_t*>(mapped), bytes};
}

Sections::~Sections() {
    if (!file_.empty()) munmap(const_cast<uint8_t*>(file_.data()), file_.size());
}

Bytes Sections::find(std::string_view name) const {
    Elf64_Ehdr header;
    if (!copy(file_, 0, header) || header.e_shentsize != sizeof(Elf64_Shdr)) return {};
    Elf64_Shdr first = {};
    if (!copy(file_, header.e_shoff, first)) return {};
    const uint64_t count = header.e_shnum == 0 ? first.sh_size : header.e_shnum;
    const uint64_t names_index = header.e_shstrndx == SHN_XINDEX ? first.sh_link : header.e_shstrndx;
    Elf64_Shdr names = {};
    if (!copy(file_, header.e_shoff + names_index * sizeof names, names)) return {};
    for (uint64_t i = 0; i < count; ++i) {
        Elf64_Shdr section;
        if (!copy(file_, header.e_shoff + i * sizeof section, section)) return {};
        const Bytes text = part(file_, names.sh_offset + section.sh_name, name.size() + 1);
        if (text.empty() || text.back() != 0 || memcmp(text.data(), name.data(), name.size()) != 0) continue;
        if (section.sh_type == SHT_NOBITS) return {};
        const Bytes content = part(file_, section.sh_offset, section.sh_size);
        return (section.sh_flags & SHF_COMPRESSED) != 0 ? uncompressed(content) : content;
    }
    return {};
}

Bytes Sections::uncompressed(Bytes content) const {
    Elf64_Chdr header;
    if (!copy(content, 0, header) || header.ch_type != ELFCOMPRESS_ZLIB) return {};
    if (header.ch_size > kMostUncompressedBytes) return {};
    const Bytes compressed = content.subspan(sizeof header);
    std::vector<uint8_t> old_form(12 + compressed.size());
    memcpy(old_form.data(), "ZLIB", 4);
    for (int i = 0; i < 8; ++i) old_form[4 + i] = static_cast<uint8_t>(header.ch_size >> (8 * (7 - i)));
    if (!compressed.empty()) memcpy(old_form.data() + 12, compressed.data(), compressed.size());
    unsigned char* result = nullptr;
    size_t bytes = 0;
    const int done = backtrace_uncompress_zdebug(state_, old_form.data(), old_form.size(), ignore, nullptr,
                                                 &result, &bytes);
    return done != 0 && result != nullptr ? Bytes(result, bytes) : Bytes();
}

}  // namespace offheap::lines
