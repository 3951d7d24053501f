# python_at_once.py: threads that each map memory and stand still on that line, so that what their stacks were then is
# what they are now.
#
# Prints "NAME THREAD SIZE" for each once its mapping is there, the thread as `threading` numbers it. Stays until it is
# killed.
import asyncio
import mmap
import os
import threading

SIZES = {name: (256 + number) * 4096 for number, name in enumerate(["plain", "generator", "coroutine", "task"])}
kept = []
gate = threading.Lock()
gate.acquire()


def grab(name):
    told = ("%s %d %d\n" % (name, threading.get_ident(), SIZES[name])).encode()
    # One line, and after the mapping only functions in C: nothing of Python stands above it while it waits.
    kept.append((mmap.mmap(-1, SIZES[name]), os.write(1, told), gate.acquire()))


# ---- plain functions, and a C function that calls back ----

class Item:
    def __init__(self, name):
        self.name = name

    def __lt__(self, other):
        return grab(self.name)


def recursive(name, depth):
    if depth > 0:
        return recursive(name, depth - 1)
    return sorted([Item(name), Item(name)])


def plain():
    recursive("plain", 2)


# ---- generators ----

def inner():
    yield 1
    grab("generator")


def outer():
    yield from inner()


def generator():
    return sum(outer())


# ---- asyncio ----

class Locked:
    async def __aenter__(self):
        await asyncio.sleep(0)

    async def __aexit__(self, *error):
        pass


async def deepest(name):
    await asyncio.sleep(0)
    grab(name)


async def nested(name):
    async with Locked():
        await deepest(name)


async def gathers(name):
    await asyncio.gather(asyncio.sleep(0), asyncio.create_task(nested(name)))


def coroutine():
    asyncio.run(nested("coroutine"))


def task():
    asyncio.run(gathers("task"))


for function in (plain, generator, coroutine):
    threading.Thread(target=function).start()
task()
