// heap_plugin.so: built under two names of its function, so that one may come to lie where the other lay.
#include <stdlib.h>

#ifndef PLUGIN_FUNCTION
#define PLUGIN_FUNCTION plugin_allocate
#endif

__attribute__((noinline)) void* PLUGIN_FUNCTION(size_t bytes) {
    void* volatile block = malloc(bytes);
    return block;
}

void* allocate(size_t bytes) {
    void* volatile block = PLUGIN_FUNCTION(bytes);
    return block;
}
