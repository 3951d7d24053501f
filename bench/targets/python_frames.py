# python_frames.py DEPTH ROUNDS: what a block costs at a depth of Python frames, in nanoseconds: allocated and freed again and
# again at one place, and at the ends of two chains of calls in turn.
import sys
import time

depth = int(sys.argv[1])
rounds = int(sys.argv[2])
sys.setrecursionlimit(10_000)


def at_one_place(n):
    if n > 1:
        return at_one_place(n - 1)
    block = bytearray
    turns = range(rounds)
    start = time.process_time_ns()
    for _ in turns:
        block(1000)
    return (time.process_time_ns() - start) / rounds


def first(n):
    if n > 1:
        return first(n - 1)
    return bytearray(1000)


def second(n):
    if n > 1:
        return second(n - 1)
    return bytearray(1000)


def in_turn(n):
    turns = range(rounds // 40)
    start = time.process_time_ns()
    # Each from two lines: only the oldest frame tells the two stacks apart, so neither is taken for the one kept.
    for _ in turns:
        first(n)
        second(n)
        first(n)
        second(n)
    return (time.process_time_ns() - start) / len(turns) / 4


print(min(at_one_place(depth) for _ in range(12)), min(in_turn(depth) for _ in range(12)))
