#pragma once
#include <stddef.h>

// Both as the kernel answers: an address or 0, or a negative errno.
void* inline_mmap(size_t bytes);
long inline_munmap(void* start, size_t bytes);
