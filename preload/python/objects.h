// Strings and bytes, read where the interpreter keeps them.
#pragma once

#include <stdint.h>

namespace offheap::python {

// Writes a str as UTF-8, cut where the buffer ends. The number of bytes; 0 for what is no str, or empty.
uint32_t read_text(uint64_t object, char* buffer, uint32_t capacity);

// The contents of a bytes object; empty for what is none.
struct Bytes {
    uint64_t address = 0;
    uint64_t count = 0;
};
Bytes bytes_of(uint64_t object);

}  // namespace offheap::python
