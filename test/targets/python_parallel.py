# python_parallel.py: threads that map memory at the same time, each from functions of its own.
#
# Prints "SIZE [[function, file, line], …]" for each mapping, leaf first, as the interpreter itself sees its frames; then
# READY. Stays until its input ends.
import json
import mmap
import sys
import threading

from interpreter_frames import frames_from

PAGE = 4096
THREADS = 4
ROUNDS = 60
told = [[] for _ in range(THREADS)]
kept = []
barrier = threading.Barrier(THREADS)


def grab(thread, turn):
    size = (1100 + turn * THREADS + thread) * PAGE
    # One line, so that both see the same.
    kept.append((mmap.mmap(-1, size), told[thread].append([size, frames_from(sys._getframe())])))


def recursive(thread, turn, depth):
    if depth > 0:
        return recursive(thread, turn, depth - 1)
    return grab(thread, turn)


def generator(thread, turn):
    yield 1
    grab(thread, turn)


def ways_of(thread):
    # Code that each thread makes for itself, and code that all of them share.
    source = "\n" * thread + "def own_%d(turn):\n    return recursive(%d, turn, turn %% 7)\n" % (thread, thread)
    made = {"recursive": recursive}
    exec(compile(source, "<thread %d>" % thread, "exec"), made)
    return [
        made["own_%d" % thread],
        lambda turn: recursive(thread, turn, turn % 11),
        lambda turn: list(generator(thread, turn)),
        lambda turn: sorted([turn, 0], key=lambda value: recursive(thread, turn, 2) or value if value else 0),
    ]


def run(thread):
    ways = ways_of(thread)
    barrier.wait()
    for turn in range(ROUNDS):
        ways[turn % len(ways)](turn)


sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=run, args=(thread,)) for thread in range(THREADS)]
for each in threads:
    each.start()
for each in threads:
    each.join()
for thread in told:
    for size, frames in thread:
        print(size, json.dumps(frames))
print("READY", flush=True)
sys.stdin.read()
