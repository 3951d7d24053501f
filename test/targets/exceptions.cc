// exceptions ROUNDS: C++ exceptions thrown through frames whose destructors map memory while the stack is being
// unwound, and caught by handlers that map more and go on.
//
// Prints `kept BYTES_OF_DESTRUCTORS BYTES_OF_HANDLERS`.
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace {

constexpr size_t kDestructorBytes = 40 << 10;
constexpr size_t kHandlerBytes = 88 << 10;

void* map_block(size_t bytes) {
    void* block = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) abort();
    *static_cast<volatile char*>(block) = 1;
    return block;
}

}  // namespace

struct MapsWhenDestroyed {
    __attribute__((noinline)) ~MapsWhenDestroyed() { map_block(kDestructorBytes); }
};

__attribute__((noinline)) void throw_below(int frames) {
    MapsWhenDestroyed guard;
    if (frames == 0) throw std::runtime_error("thrown on purpose");
    throw_below(frames - 1);
}

__attribute__((noinline)) void catch_once() {
    try {
        throw_below(2);
    } catch (const std::exception&) {
        map_block(kHandlerBytes);
    }
}

int main(int argc, char** argv) {
    const int rounds = argc > 1 ? atoi(argv[1]) : 10;
    for (int i = 0; i < rounds; ++i) catch_once();
    printf("kept %zu %zu\nREADY\n", rounds * 3 * kDestructorBytes, rounds * kHandlerBytes);
    return 0;
}
