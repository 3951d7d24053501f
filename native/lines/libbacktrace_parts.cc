// Parts of libbacktrace that are replaced here: the linker takes these first. Its own memory is mapped page
// by page and searched for each request, and its sort swaps byte by byte; together they took a third of its
// time. The signatures are those of its internal.h.
#include <backtrace.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "native/lines/inlined_calls.h"

namespace {

struct Vector {
    void* base;
    size_t size;
    size_t room;
};

using Compare = int (*)(const void*, const void*);

void refuse(backtrace_error_callback on_error, void* data) {
    if (on_error != nullptr) on_error(data, "memory", errno);
}

template <size_t kWords>
struct Element {
    uint64_t words[kWords];
};

// Merges neighbouring runs that are in order, again and again: each function's lines are one, and most runs
// follow one another, which costs a comparison for each element.
template <size_t kWords>
void sort_elements(void* base, size_t count, Compare compare) {
    auto* const first = static_cast<Element<kWords>*>(base);
    const auto less = [compare](const auto& a, const auto& b) { return compare(&a, &b) < 0; };
    std::vector<size_t> ends;
    for (size_t at = 1; at < count; ++at) {
        if (less(first[at], first[at - 1])) ends.push_back(at);
    }
    ends.push_back(count);
    std::vector<Element<kWords>> merged(ends.size() > 1 ? count : 0);
    while (ends.size() > 1) {
        std::vector<size_t> longer;
        size_t start = 0;
        for (size_t run = 0; run < ends.size(); run += 2) {
            const size_t middle = ends[run];
            const size_t end = run + 1 < ends.size() ? ends[run + 1] : middle;
            std::merge(first + start, first + middle, first + middle, first + end, merged.begin() + start,
                       less);
            longer.push_back(end);
            start = end;
        }
        std::copy(merged.begin(), merged.end(), first);
        ends = std::move(longer);
    }
}

}  // namespace

extern "C" {

void* backtrace_alloc(backtrace_state*, size_t bytes, backtrace_error_callback on_error, void* data) {
    void* memory = malloc(bytes);
    if (memory == nullptr) refuse(on_error, data);
    return memory;
}

void backtrace_free(backtrace_state*, void* memory, size_t, backtrace_error_callback, void*) { free(memory); }

// Makes room for so many more bytes behind what is in use, and gives their place.
void* backtrace_vector_grow(backtrace_state*, size_t bytes, backtrace_error_callback on_error, void* data,
                            Vector* vector) {
    if (bytes > vector->room - vector->size) {
        const size_t room = std::max(2 * vector->room, std::max<size_t>(vector->size + bytes, 512));
        void* base = realloc(vector->base, room);
        if (base == nullptr) {
            refuse(on_error, data);
            return nullptr;
        }
        vector->base = base;
        vector->room = room;
    }
    void* place = static_cast<char*>(vector->base) + vector->size;
    vector->size += bytes;
    return place;
}

// Hands out what is in use; the vector begins anew.
void* backtrace_vector_finish(backtrace_state*, Vector* vector, backtrace_error_callback, void*) {
    void* base = vector->base;
    *vector = {};
    return base;
}

// Gives back the room that is not in use.
int backtrace_vector_release(backtrace_state*, Vector* vector, backtrace_error_callback on_error,
                             void* data) {
    if (vector->size == 0) {
        free(vector->base);
        *vector = {};
        return 1;
    }
    void* base = realloc(vector->base, vector->size);
    if (base == nullptr) {
        refuse(on_error, data);
        return 0;
    }
    vector->base = base;
    vector->room = vector->size;
    return 1;
}

void backtrace_qsort(void* base, size_t count, size_t bytes, Compare compare) {
    // The records of its tables of units, functions, lines and symbols.
    switch (bytes) {
        case 16:
            return sort_elements<2>(base, count, compare);
        case 24:
            sort_elements<3>(base, count, compare);
            return offheap::lines::inlined_calls::table_sorted(base, count);
        case 32:
            return sort_elements<4>(base, count, compare);
        default:
            qsort(base, count, bytes, compare);
    }
}
}
