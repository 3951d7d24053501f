# python_heap_frames.py SEED: allocates blocks that live on, from stacks at random that have much in common.
#
# Prints "STACK BYTES BLOCKS" for each distinct stack of Python functions, the stack as JSON, leaf first; then READY.
import json
import random
import sys

from interpreter_frames import frames_from

BLOCKS = 1500
random.seed(int(sys.argv[1]))
kept = [None] * BLOCKS
count = 0
told = {}


def note(frame, size):
    global count
    total = told.setdefault(json.dumps(frames_from(frame)), [0, 0])
    # A bytearray ends with a byte that is 0.
    total[0] += size + 1
    total[1] += 1
    count += 1
    return count - 1


# Each on one line, so that both sides see the same.
def grab(size):
    if size % 3 == 0:
        kept[note(sys._getframe(), size)] = bytearray(size)
    elif size % 3 == 1:
        kept[note(sys._getframe(), size)] = bytearray(size)
    else:
        kept[note(sys._getframe(), size)] = bytearray(size); kept[note(sys._getframe(), size)] = bytearray(size)


def numbers(depth):
    yield 1
    walk(depth)
    yield 2


def by_key(depth):
    sorted([0], key=lambda _: walk(depth))


def by_exec(depth):
    # Another code object of the same size each time, at the same address as a rule.
    exec("\n" * random.randrange(3) + "walk(%d)" % depth, {"walk": walk})


def walk(depth):
    for _ in range(random.randrange(1, 4)):
        if depth == 0 or count > BLOCKS - 8 or random.random() < 0.3:
            if count < BLOCKS - 8:
                grab(random.randrange(600, 1000))
            continue
        kind = random.randrange(6)
        if kind == 0:
            by_key(depth - 1)
        elif kind == 1:
            for _ in numbers(depth - 1):
                pass
        elif kind == 2:
            by_exec(depth - 1)
        elif kind == 3:
            # From here or from there: all younger frames are alike.
            walk(depth - 1)
        else:
            walk(depth - 1)


while count < BLOCKS - 8:
    walk(random.randrange(1, 12))
for stack, (size, blocks) in told.items():
    print(stack, size, blocks)
print("READY", flush=True)
sys.stdin.readline()
