"""A Python program that leaks through UCX, though no object of its own stays alive.

One buffer is registered with UCX. From then on every munmap of the process costs 144 bytes that nothing frees, as
long as nobody registers memory again. The program maps and unmaps memory in one of two ways and prints its RSS.
"""

import argparse
import ctypes
import mmap
import os
import sys
import time
from pathlib import Path

UCP_API_VERSION = (1, 13)
UCP_PARAM_FIELD_FEATURES = 1 << 0
UCP_FEATURE_RMA = 1 << 1
UCP_MEM_MAP_PARAM_FIELD_ADDRESS = 1 << 0
UCP_MEM_MAP_PARAM_FIELD_LENGTH = 1 << 1

BUFFER_BYTES = 16 << 20
BLOCK_BYTES = 64 << 10
# With its header an object of bytes stays below 512, from which on CPython asks malloc. An arena has 256 KiB up to
# Python 3.9, then 1 MiB; it is unmapped when the last of its objects goes.
SMALL_OBJECT_BYTES = 448
ARENAS_BYTES = 4 << 20
CYCLES_PER_CHECK = 100
DEFAULT_LIBUCP = Path(__file__).resolve().parents[2] / "build" / "ucx" / "lib" / "libucp.so.0"


class UcpParams(ctypes.Structure):
    """The head of ucp_params_t; UCX reads only the fields that field_mask names."""

    _fields_ = [("field_mask", ctypes.c_uint64), ("features", ctypes.c_uint64), ("rest", ctypes.c_uint64 * 12)]


class UcpMemMapParams(ctypes.Structure):
    """The head of ucp_mem_map_params_t."""

    _fields_ = [
        ("field_mask", ctypes.c_uint64),
        ("address", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("rest", ctypes.c_uint64 * 8),
    ]


def check(status: int, call: str) -> None:
    if status != 0:
        sys.exit(f"leak.py: {call} failed with UCX status {status}")


def register_buffer(libucp: Path) -> mmap.mmap:
    """Initialise UCX and register one buffer with it, as a KV cache is registered once at start."""
    ucp = ctypes.CDLL(str(libucp))
    config, context, handle = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
    check(ucp.ucp_config_read(None, None, ctypes.byref(config)), "ucp_config_read")
    parameters = UcpParams(field_mask=UCP_PARAM_FIELD_FEATURES, features=UCP_FEATURE_RMA)
    status = ucp.ucp_init_version(*UCP_API_VERSION, ctypes.byref(parameters), config, ctypes.byref(context))
    check(status, "ucp_init")
    ucp.ucp_config_release(config)

    buffer = mmap.mmap(-1, BUFFER_BYTES)
    buffer.write(b"\1" * BUFFER_BYTES)
    region = UcpMemMapParams(
        field_mask=UCP_MEM_MAP_PARAM_FIELD_ADDRESS | UCP_MEM_MAP_PARAM_FIELD_LENGTH,
        address=ctypes.addressof(ctypes.c_char.from_buffer(buffer)),
        length=BUFFER_BYTES,
    )
    check(ucp.ucp_mem_map(context, ctypes.byref(region), ctypes.byref(handle)), "ucp_mem_map")
    return buffer


def churn_mmap() -> None:
    """Map, touch and unmap 64 KiB: one munmap."""
    block = mmap.mmap(-1, BLOCK_BYTES)
    block[0] = 1
    block.close()


def churn_arenas() -> None:
    """Make and drop 4 MiB of small objects: CPython maps a few arenas for them and unmaps them again."""
    objects = [bytes(SMALL_OBJECT_BYTES) for _ in range(ARENAS_BYTES // SMALL_OBJECT_BYTES)]
    del objects


def resident_kib() -> tuple[int, int]:
    """The process's resident memory, in all and without what files and shared memory back."""
    with open("/proc/self/statm") as statm:
        _, total, shared, *_ = (int(pages) for pages in statm.read().split())
    return total * mmap.PAGESIZE // 1024, (total - shared) * mmap.PAGESIZE // 1024


def run(churn, seconds: float, rate: float) -> None:
    """Call `churn` `rate` times a second (0: as fast as it goes), printing the RSS once a second."""
    start = next_line = time.monotonic()
    cycles = 0
    print(f"READY pid={os.getpid()} anonymous_kib={resident_kib()[1]}", flush=True)
    while (now := time.monotonic()) - start < seconds:
        if now >= next_line:
            print(f"{now - start:6.1f} s  {cycles:9d} cycles  RSS {resident_kib()[0]:8d} KiB", flush=True)
            next_line += 1
        for _ in range(CYCLES_PER_CHECK):
            churn()
        cycles += CYCLES_PER_CHECK
        if rate > 0:
            time.sleep(max(0.0, start + cycles / rate - time.monotonic()))
    total, anonymous = resident_kib()
    print(f"END cycles={cycles} rss_kib={total} anonymous_kib={anonymous}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=50_000, help="cycles per second; 0 is as fast as it goes")
    parser.add_argument("--churn", choices=["mmap", "arenas"], default="mmap")
    parser.add_argument("--hook-mode", choices=["bistro", "reloc", "none"], help="sets UCX_MEM_MMAP_HOOK_MODE")
    parser.add_argument("--libucp", type=Path, default=DEFAULT_LIBUCP)
    options = parser.parse_args()
    if not options.libucp.exists():
        sys.exit(f"leak.py: {options.libucp} is not there: run fetch_ucx.py first")
    if options.hook_mode:
        os.environ["UCX_MEM_MMAP_HOOK_MODE"] = options.hook_mode

    buffer = register_buffer(options.libucp)
    run(churn_mmap if options.churn == "mmap" else churn_arenas, options.seconds, options.rate)
    assert buffer  # registered all the while


if __name__ == "__main__":
    main()
