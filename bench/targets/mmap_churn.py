"""CPython maps, touches and unmaps: mmap objects, large blocks by malloc, and its own arenas."""

import mmap
import sys

BLOCK_BYTES = 64 << 10

for _ in range(int(sys.argv[1])):
    view = mmap.mmap(-1, BLOCK_BYTES)
    view[0] = 1
    view.close()
    large = bytearray(512 << 10)
    small = [bytes(400) for _ in range(200)]
