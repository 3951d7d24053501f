"""A Python program: CPython's arenas come and go, large blocks by malloc, mmap objects, threads; some are kept."""

import mmap
import threading

ROUNDS = 30
KEPT_BLOCKS = 16
BLOCK_BYTES = 1 << 20


def churn() -> None:
    for _ in range(ROUNDS):
        small = [bytes(400) for _ in range(5000)]
        large = bytearray(BLOCK_BYTES)
        view = mmap.mmap(-1, 65536)
        view[0] = 1
        view.close()
        del small, large


threads = [threading.Thread(target=churn) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()

kept = [mmap.mmap(-1, BLOCK_BYTES) for _ in range(KEPT_BLOCKS)]
for block in kept:
    block.write(b"\1" * BLOCK_BYTES)
print(f"kept_bytes {len(kept) * BLOCK_BYTES}")
print("READY")
