# python_broken_frames.py: maps memory while the chain of frames is broken; "BROKEN SIZE" for each, "WHOLE SIZE" when it is mended.
import ctypes
import mmap
import sys

PAGE = 4096
kept = []
minor = sys.version_info[1]
thread_state = ctypes.pythonapi.PyThreadState_Get
thread_state.restype = ctypes.c_void_p
thread_state.argtypes = []


def word(address):
    return ctypes.c_uint64.from_address(address)


def link_of(frame):
    """The word of a function's own frame that leads to its caller's."""
    if minor < 11:
        return word(id(frame) + 24)
    state = thread_state()
    if minor == 11:
        return word(word(word(state + 56).value + 8).value + 48)
    if minor == 12:
        return word(word(word(state + 56).value).value + 8)
    return word(word(state + 72).value + 8)


def broken(size, wrong):
    link = link_of(sys._getframe())
    # From 3.11 on of the caller, which stays where it is meanwhile.
    link = link if minor < 11 else word(link.value + (48 if minor == 11 else 8))
    right = link.value
    here = ctypes.addressof(link) - (24 if minor < 11 else 48 if minor == 11 else 8)
    link.value = here if wrong is None else wrong
    kept.append(mmap.mmap(-1, size))
    link.value = right


def caller(size, wrong):
    broken(size, wrong)


def whole(size):
    kept.append(mmap.mmap(-1, size))


for number, wrong in enumerate([0x123456789000, 1, 64, 0xFFFFFFFFFFFFFFF8, None]):
    caller((300 + number) * PAGE, wrong)
    print("BROKEN", (300 + number) * PAGE)
whole(400 * PAGE)
print("WHOLE", 400 * PAGE)
print("READY", flush=True)
sys.stdin.readline()
