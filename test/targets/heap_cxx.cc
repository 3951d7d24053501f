// heap_cxx [throw]: every way in which C and C++ allocate, each from a function of its own that makes 1000
// blocks and keeps 100.
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <initializer_list>
#include <new>
#include <string>

namespace {

constexpr int kMade = 1000;
constexpr int kKept = 100;

// What is kept is reachable: no tool calls it leaked.
void* kept[100][kKept];
int places;

template <typename Allocate, typename Release>
__attribute__((always_inline)) inline void use(Allocate allocate, Release release) {
    void** const mine = kept[places++];
    for (int i = 0; i < kMade; ++i) {
        void* volatile block = allocate();
        if (block == nullptr) abort();
        memset(block, i, 16);
        if (i % (kMade / kKept) == 0) {
            mine[i / (kMade / kKept)] = block;
        } else {
            release(block);
        }
    }
}

struct alignas(64) Aligned {
    char bytes[192];
};

#define PLACE(name, allocate, release)                                         \
    __attribute__((noinline)) void name() {                                    \
        use([]() -> void* { return allocate; }, [](void* block) { release; }); \
        __asm__ volatile("" ::: "memory");                                     \
    }

void* by_posix_memalign() {
    void* block = nullptr;
    return posix_memalign(&block, 256, 300) == 0 ? block : nullptr;
}

// What no header declares any more, or not yet: free() stands in where nobody has it. jemalloc has no cfree:
// the one that is found beside it is glibc's, which does not know its blocks.
extern "C" {
__attribute__((weak)) int mallctl(const char* name, void*, size_t*, void*, size_t);
__attribute__((weak)) void cfree(void* block);
__attribute__((weak)) void free_sized(void* block, size_t bytes);
__attribute__((weak)) void free_aligned_sized(void* block, size_t alignment, size_t bytes);
}

PLACE(by_malloc, malloc(100), free(block))
PLACE(by_cfree, malloc(102), cfree != nullptr && mallctl == nullptr ? cfree(block) : free(block))
PLACE(by_free_sized, malloc(104), free_sized != nullptr ? free_sized(block, 104) : free(block))
PLACE(by_free_aligned_sized, aligned_alloc(64, 128),
      free_aligned_sized != nullptr ? free_aligned_sized(block, 64, 128) : free(block))
PLACE(by_calloc, calloc(10, 11), free(block))
PLACE(by_realloc, realloc(malloc(20), 120), free(block))
PLACE(by_reallocarray, reallocarray(nullptr, 13, 10), free(block))
PLACE(by_memalign, memalign(128, 140), free(block))
PLACE(by_posix, by_posix_memalign(), free(block))
PLACE(by_aligned_alloc, aligned_alloc(64, 192), free(block))
PLACE(by_new, ::operator new(150), ::operator delete(block))
PLACE(by_new_array, ::operator new[](160), ::operator delete[](block))
PLACE(by_new_sized, ::operator new(170), ::operator delete(block, 170))
PLACE(by_new_nothrow, ::operator new(180, std::nothrow), ::operator delete(block, std::nothrow))
PLACE(by_new_array_nothrow, ::operator new[](190, std::nothrow), ::operator delete[](block, std::nothrow))
PLACE(by_new_aligned, ::operator new(192, std::align_val_t(64)),
      ::operator delete(block, std::align_val_t(64)))
PLACE(by_new_array_aligned, ::operator new[](256, std::align_val_t(128)),
      ::operator delete[](block, std::align_val_t(128)))
PLACE(by_new_aligned_sized, ::operator new(320, std::align_val_t(64)),
      ::operator delete(block, 320, std::align_val_t(64)))
PLACE(by_new_object, new Aligned, delete static_cast<Aligned*>(block))

// Larger than there is: the exception is the caller's to see.
volatile size_t too_large = size_t{1} << 62;
bool throws() {
    try {
        ::operator delete(::operator new(too_large));
    } catch (const std::bad_alloc&) {
        return ::operator new(too_large, std::nothrow) == nullptr;
    }
    return false;
}

}  // namespace

int main(int argc, char**) {
    for (void (*place)() :
         {by_malloc, by_cfree, by_free_sized, by_free_aligned_sized, by_calloc, by_realloc, by_reallocarray,
          by_memalign, by_posix, by_aligned_alloc, by_new, by_new_array, by_new_sized, by_new_nothrow,
          by_new_array_nothrow, by_new_aligned, by_new_array_aligned, by_new_aligned_sized, by_new_object}) {
        place();
    }
    std::string text;
    for (int i = 0; i < 10'000; ++i) text += std::to_string(i);
    char* copy = strdup(text.c_str());
    printf("%zu %s %s\n", strlen(copy), argc > 1 && throws() ? "throws" : "does not throw",
           malloc_usable_size(kept[0][0]) >= 100 ? "usable" : "not usable");
    free(copy);
    return 0;
}
