// Maps through templates that the compiler inlines into one another, waits for a line, and ends.
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

namespace shop {

template <typename Block>
struct Pool {
    Block* first = nullptr;

    [[gnu::always_inline]] void grow(size_t bytes) {
        void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);  // at: grow
        if (mapped == MAP_FAILED) abort();
        first = static_cast<Block*>(mapped);
        first[0] = Block();
    }
};

template <typename Block, size_t kBytes>
[[gnu::always_inline]] inline void fill(Pool<Block>& pool) {
    pool.grow(kBytes);  // at: fill
    puts("filled");
}

struct Shop {
    Pool<long> pool;

    [[gnu::noinline]] void open() {
        [this](auto add) { add(pool); }(fill<long, 3 << 20>);  // at: open
        puts("opened");
    }
};

}  // namespace shop

int main() {
    shop::Shop shop;
    shop.open();  // at: main
    puts("READY");
    fflush(stdout);
    getchar();
}
