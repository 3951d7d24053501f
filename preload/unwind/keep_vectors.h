// Calls into libc without losing the vector registers. The kernel keeps them across a system call, code
// around an inline one may hold live values in them, and libc is free to use them; the shim's own code never
// does.
#pragma once

extern "C" {
// Calls function(a, b) and returns what it returns. Keeps xmm0-15, which is all that baseline libc code
// touches.
long offheap_keep_vectors(long (*function)(const void*, const void*), const void* a, const void* b);
}
