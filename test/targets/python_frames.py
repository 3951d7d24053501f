# python_frames.py: maps memory in each way that Python functions call each other; each mapping has a size of its own.
#
# Prints "SCENARIO SIZE [[function, file, line], …]" for each, leaf first, as the interpreter itself sees its frames;
# then READY, and at the end, from inside atexit, once more. Reads a line from stdin in between.
import asyncio
import atexit
import json
import mmap
import sys
import threading
from importlib.machinery import ModuleSpec

from interpreter_frames import frames_from

PAGE = 4096
kept = []
scenarios = []


def size_of(scenario):
    scenarios.append(scenario)
    return (256 + len(scenarios)) * PAGE


def tell(scenario, frames):
    print(scenario, (256 + 1 + scenarios.index(scenario)) * PAGE, json.dumps(frames), flush=True)


def grab(scenario):
    # One line, so that both see the same.
    size = size_of(scenario)
    kept.append((mmap.mmap(-1, size), tell(scenario, frames_from(sys._getframe()))))


# ---- calls, and C functions that call back ----

def recursive(scenario, depth):
    if depth > 0:
        return recursive(scenario, depth - 1)
    return grab(scenario)


def sort_key(value):
    if value == 2:
        grab("sorted")
    return value


def calls_back():
    sorted([3, 2, 1], key=sort_key)
    list(map(lambda value: grab("map"), [1]))


class Made:
    def __init__(self, scenario):
        grab(scenario)

    def __call__(self):
        return grab("call")

    @property
    def asked(self):
        return grab("property")


# ---- generators and coroutines ----

def inner_generator(scenario):
    yield 1
    grab(scenario)
    yield 2


def outer_generator(scenario):
    yield from inner_generator(scenario)


class Ready:
    def __await__(self):
        yield self


async def deepest():
    await Ready()
    grab("coroutine")


async def deeper():
    await deepest()


def run(coroutine):
    try:
        while True:
            coroutine.send(None)
    except StopIteration:
        pass


async def asynchronous():
    async def items():
        yield 1
        grab("async generator")
        yield 2

    async for _ in items():
        pass


async def awaits(scenario):
    await asyncio.sleep(0)
    grab(scenario)


async def with_task():
    await awaits("asyncio")
    await asyncio.gather(asyncio.sleep(0), asyncio.create_task(awaits("asyncio task")))


# ---- exceptions ----

class Dying:
    def __init__(self, scenario):
        self.scenario = scenario

    def __del__(self):
        grab(self.scenario)


def raises():
    dying = Dying("unwinding")
    raise ValueError(dying is None)


def handles():
    try:
        raises()
    except ValueError as error:
        grab("except")
        error.__traceback__ = None
    finally:
        grab("finally")


# ---- what compilers move out of the evaluator's way, since it is rare ----

class Rare:
    def __matmul__(self, other):
        grab("matmul")

    def __imatmul__(self, other):
        grab("imatmul")
        return self

    def __ipow__(self, other):
        grab("ipow")
        return self

    def __ilshift__(self, other):
        grab("ilshift")
        return self

    def __delattr__(self, name):
        grab("delattr")

    def __aiter__(self):
        grab("aiter")
        return self

    async def __anext__(self):
        raise StopAsyncIteration

    def __aenter__(self):
        grab("aenter")
        return Ready()

    def __aexit__(self, *error):
        return Ready()


async def rarely():
    async with rare_one:
        pass
    async for _ in rare_one:
        pass


def rare():
    rare_one @ 1
    one = rare_one
    one @= 1
    one **= 1
    one <<= 1
    del one.attribute
    run(rarely())
    shown, sys.displayhook = sys.displayhook, lambda value: grab("displayhook")
    exec(compile("1", "<single>", "single"))
    sys.displayhook = shown


rare_one = Rare()


# ---- import, exec, threads, subinterpreters, greenlets ----

def executes():
    for number in range(3):
        # Code objects that come and go at one address.
        source = "\n" * number + "def fresh_%d(): grab('exec %d')\n\nfresh_%d()" % (number, number, number)
        exec(compile(source, "<fresh %d>" % number, "exec"), {"grab": grab})


class Finder:
    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self) if name == "grabbing" else None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(compile("\ngrab('import')\n", "<grabbing>", "exec"), {"grab": grab})


def imports():
    sys.meta_path.insert(0, Finder())
    import grabbing  # noqa: F401


def subinterpreter():
    try:
        import _interpreters as interpreters
    except ImportError:
        try:
            import _xxsubinterpreters as interpreters
        except ImportError:
            return
    source = "def inside():\n    kept.append(mmap.mmap(-1, %d))\n\nimport builtins, mmap\nbuiltins.kept = kept = []\ninside()" % size_of("subinterpreter")
    interpreter = interpreters.create()
    interpreters.run_string(interpreter, source)
    kept.append(interpreter)
    file = "<string>" if sys.version_info < (3, 14) else "<script>"
    tell("subinterpreter", [["inside", file, 2], ["<module>", file, 6]])


def switches():
    try:
        import greenlet
    except ImportError:
        return
    main = greenlet.getcurrent()

    def body(number):
        main.switch()
        grab("greenlet %d" % number)

    greenlets = [greenlet.greenlet(body) for _ in range(2)]
    for number, each in enumerate(greenlets):
        each.switch(number)
    sorted([0], key=lambda _: greenlets[1].switch())
    greenlets[0].switch()
    grab("behind greenlets")


def everything():
    recursive("recursive", 40)
    calls_back()
    made = Made("init")
    made()
    made.asked
    for _ in outer_generator("generator"):
        pass
    next(filter(None, [sum(inner_generator("sum"))]))
    run(deeper())
    run(asynchronous())
    asyncio.run(with_task())
    handles()
    rare()
    executes()
    imports()
    thread = threading.Thread(target=recursive, args=("thread", 2))
    thread.start()
    thread.join()
    subinterpreter()
    switches()


def at_exit():
    grab("atexit")
    print("EXITING", flush=True)
    sys.stdin.readline()


atexit.register(at_exit)
everything()
print("READY", flush=True)
sys.stdin.readline()
