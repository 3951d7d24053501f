# heap_greenlet.py ROUNDS: greenlets copy their stacks to the heap and back to the same addresses: one place, other callers.
import sys

import greenlet


def allocate(depth):
    if depth > 0:
        return allocate(depth - 1)
    return len(bytes(700) + b"x")


def deeper(depth, call):
    # By way of C frames, which are what is captured: sorted() calls back.
    if depth > 0:
        return sorted([0], key=lambda _: deeper(depth - 1, call))
    return call()


def body(number):
    for turn in range(1_000_000):
        allocate(turn % 7)
        deeper((number + turn) % 5, main.switch)
        allocate(number % 3)


main = greenlet.getcurrent()
greenlets = [greenlet.greenlet(body) for _ in range(6)]
rounds = int(sys.argv[1])
for number, each in enumerate(greenlets):
    each.switch(number)
for turn in range(rounds):
    deeper(turn % 3, greenlets[turn % 6].switch)
    allocate(turn % 5)
print("switched", rounds)
