// Machine code made by hand, in anonymous memory: int3 wherever nothing was put.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "preload/hook/modules.h"

namespace offheap::test {

class CodeBuffer {
  public:
    static constexpr uint64_t kBytes = 4096;

    CodeBuffer() {
        code_ = static_cast<uint8_t*>(
            mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        memset(code_, 0xcc, kBytes);
    }
    ~CodeBuffer() { munmap(code_, kBytes); }
    CodeBuffer(const CodeBuffer&) = delete;
    CodeBuffer& operator=(const CodeBuffer&) = delete;

    uint64_t put(uint64_t offset, std::initializer_list<int> bytes) {
        for (uint8_t* at = code_ + offset; const int byte : bytes) *at++ = static_cast<uint8_t>(byte);
        return address(offset);
    }
    void fill(uint64_t offset, uint64_t bytes, uint8_t value) { memset(code_ + offset, value, bytes); }
    void make_executable() { mprotect(code_, kBytes, PROT_READ | PROT_EXEC); }

    uint64_t address(uint64_t offset) const { return reinterpret_cast<uint64_t>(code_) + offset; }
    uint8_t byte(uint64_t offset) const { return code_[offset]; }

    // Without file headers: what is known of its functions is nothing.
    hook::Module module() const { return {0, address(0), address(kBytes), "code"}; }

    long call(uint64_t offset, long a = 0, long b = 0, long c = 0) const {
        return reinterpret_cast<long (*)(long, long, long)>(address(offset))(a, b, c);
    }

  private:
    uint8_t* code_;
};

}  // namespace offheap::test
