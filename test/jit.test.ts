// The names of code that an engine makes while it runs, in the stacks of real engines.
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import type { Snapshot, SnapshotFrame } from '../src/report/schema.js';
import { attach } from '../src/session/attach.js';
import type { Session } from '../src/session/session.js';
import { buildC, buildJava } from './support/build.js';
import { needs } from './support/needs.js';
import { channelFolder, preloaded, scratchFolder } from './support/offheap.js';
import { ROOT, TARGET_SOURCES } from './support/paths.js';
import { pythons } from './support/pythons.js';
import { Running } from './support/running.js';
import { type Any, expectWhole, LIBC_INTERNALS, PROGRAM_ROOT } from './support/whole-stack.js';

const MIB = 1 << 20;

interface Engine {
  running: Running;
  session: Session;
}

interface EngineOptions {
  cwd?: string;
  env?: Record<string, string>;
  onReady?: (pid: string) => void;
}

/** Runs an engine under the shim until it says READY, and attaches to it. Its perf map is gone after the test. */
async function engine(
  command: string,
  args: readonly string[],
  { cwd, env = {}, onReady }: EngineOptions = {},
): Promise<Engine> {
  const dir = channelFolder();
  const running = new Running(command, args, {
    env: { ...env, ...preloaded(dir) },
    ...(cwd === undefined ? {} : { cwd }),
  });
  const [, pid = ''] = await running.line(/^READY (\d+)$/);
  onTestFinished(() => rmSync(`/tmp/perf-${pid}.map`, { force: true }));
  onReady?.(pid);
  const session = await attach(Number(pid), { dir });
  onTestFinished(() => session.close());
  return { running, session };
}

/** The stack by which a mapping of just over `bytes` was made, leaf first. */
function stackOf(snapshot: Snapshot, bytes: number): SnapshotFrame[] {
  const mapping = snapshot.mappings.find((each) => each.bytes >= bytes && each.bytes < bytes + MIB);
  if (mapping === undefined) throw new Error(`nothing of ${bytes} bytes was mapped`);
  return snapshot.stacks[mapping.stack] ?? [];
}

/** "function file:line" of the frames of a language. */
function said(stack: readonly SnapshotFrame[], language: SnapshotFrame['language']): string[] {
  return stack
    .filter((frame) => frame.language === language)
    .map(({ function: name, file, line }) => `${name} ${file}:${line}`);
}

const NODE_TARGET = `${TARGET_SOURCES}/jit_node.js`;
const PYTHON_TARGET = `${TARGET_SOURCES}/jit_python.py`;

/** Node's own functions between those of the script differ from version to version, but each has its name. */
const NODE_INTERNALS: Any = { any: /(v8::|node::|Builtins_|uv_)[^\n]* node|[^\n]+ node:\S+:\d+/ };

/** From malloc's mapping to where Node was started. */
function expectWholeNode(stack: readonly SnapshotFrame[]) {
  const script = stack
    .filter(({ file }) => file === NODE_TARGET)
    .map((frame) => `${frame.function} ${NODE_TARGET}:${frame.line}`);
  expectWhole(stack, [
    'mmap libc.so.6',
    LIBC_INTERNALS,
    'calloc libc.so.6',
    'node::NodeArrayBufferAllocator::Allocate node',
    NODE_INTERNALS,
    ...script,
    NODE_INTERNALS,
    'Builtins_JSEntry node',
    NODE_INTERNALS,
    'node::Start node',
    ...PROGRAM_ROOT,
  ]);
}

test.each([
  ['interpreted', []],
  ['compiled', ['20000']],
])(
  'Node: %s JavaScript functions by name, file and line, between the frames of Node’s own',
  async (_, args) => {
    const flags = ['--perf-basic-prof', '--interpreted-frames-native-stack', '--no-turbo-inlining'];
    const { session } = await engine(process.execPath, [...flags, NODE_TARGET, ...args]);
    const stack = stackOf(session.snapshot(), 64 * MIB);
    expect(said(stack, 'javascript').filter((each) => !each.includes(' node:'))).toEqual([
      `grow ${NODE_TARGET}:6`,
      `fill ${NODE_TARGET}:11`,
      `handle ${NODE_TARGET}:17`,
      `main ${NODE_TARGET}:24`,
      `(top level) ${NODE_TARGET}:1`,
    ]);
    expectWholeNode(stack);
    const folded = await session.flamegraph({ format: 'folded' });
    expect(folded).toMatch(/;main;handle;fill;grow;[^\n]*;mmap 6[78]\d{6}$/m);
  },
);

test('Node’s jitdump: the lines at which compiled functions call, not where they begin', async () => {
  const flags = ['--perf-prof', '--interpreted-frames-native-stack', '--no-turbo-inlining'];
  const { session } = await engine(process.execPath, [...flags, NODE_TARGET, '30000'], {
    cwd: scratchFolder(),
  });
  const stack = stackOf(session.snapshot(), 64 * MIB);
  expect(said(stack, 'javascript').filter((each) => !each.includes(' node:'))).toEqual([
    `grow ${NODE_TARGET}:7`,
    `fill ${NODE_TARGET}:12`,
    `handle ${NODE_TARGET}:17`,
    `main ${NODE_TARGET}:24`,
    `(top level) ${NODE_TARGET}:1`,
  ]);
  expectWholeNode(stack);
});

test('Java: compiled methods by a perf map, between those of the virtual machine', async (context) => {
  needs(context, 'java');
  const alone = ['grow', 'fill', 'main'].map((name) => `-XX:CompileCommand=dontinline,JitMemory::${name}`);
  const flags = [
    '-XX:+PreserveFramePointer',
    '-Xbatch',
    '-XX:TieredStopAtLevel=1',
    '-XX:CompileCommand=quiet',
  ];
  const { running, session } = await engine(
    'java',
    [...flags, ...alone, '-cp', buildJava('JitMemory'), 'JitMemory'],
    { onReady: (pid) => void execFileSync('jcmd', [pid, 'Compiler.perfmap']) },
  );
  const compiled = [
    'jdk.internal.misc.Unsafe.allocateMemory0',
    'jdk.internal.misc.Unsafe.allocateMemory',
    'java.nio.DirectByteBuffer.<init>',
    'JitMemory.grow',
    'JitMemory.fill',
  ];
  running.write('\n');
  await running.line(/^done$/);
  const stack = stackOf(session.snapshot(), 64 * MIB);
  expectWhole(stack, [
    'mmap libc.so.6',
    LIBC_INTERNALS,
    'malloc libc.so.6',
    'os::malloc libjvm.so',
    'Unsafe_AllocateMemory0 libjvm.so',
    ...compiled.map((name) => `${name} [anon]`),
    // That of main.
    'Interpreter [anon]',
    'StubRoutines (1) [anon]',
    'JavaCalls::call_helper libjvm.so',
    'jni_invoke_static libjvm.so',
    'jni_CallStaticVoidMethod libjvm.so',
    'JavaMain libjli.so',
    'ThreadJavaMain libjli.so',
    // The thread's start, of which a stripped libc doesn't tell the name.
    /(\?|start_thread) libc\.so\.6/,
    /(\?|__clone3?|clone3?) libc\.so\.6/,
  ]);
  expect(stack.filter(({ language }) => language === 'java').map((frame) => frame.function)).toEqual(
    compiled,
  );
});

/** Those with trampolines. */
const trampolining = pythons().filter(({ minor }) => minor >= 12);

test('a Python with trampolines is at hand', (context) => {
  if (trampolining.length > 0) return;
  const reason = 'needs Python 3.12 or newer';
  if (process.env.OFFHEAP_CI_NO_SKIPS === '1') throw new Error(`would be skipped: ${reason}`);
  context.skip(reason);
});

test.each(trampolining)(
  '$name -X perf: functions that are called by trampolines stand there once, in a stack that goes on to its root',
  async ({ command, args, env }) => {
    const { session } = await engine(command, [...args, '-X', 'perf', PYTHON_TARGET], { env });
    const snapshot = session.snapshot();
    const stack = stackOf(snapshot, 64 * MIB);
    expect(said(stack, 'python')).toEqual([
      `grow ${PYTHON_TARGET}:9`,
      `Cache.fill ${PYTHON_TARGET}:14`,
      `main ${PYTHON_TARGET}:18`,
      `<module> ${PYTHON_TARGET}:23`,
    ]);
    expect(stack.at(0)?.function).toBe('mmap');
    expect(stack.slice(-2).map((frame) => frame.function)).toEqual(['__libc_start_main', '_start']);
    // Each function has a call of the evaluator to itself, by a trampoline: whose own frame is the function's.
    const calls = stack.filter((frame) => frame.function === '_PyEval_EvalFrameDefault').length;
    if (calls > 0) expect(calls).toBe(4);
    expect(snapshot.completeness.truncatedStacks).toBe(0);
  },
);

/** test/targets/jit_code.c, which makes code and tells its names as it is told. */
async function smallEngine([command, ...args]: [string, ...string[]] = [buildC('jit_code')]) {
  const { running, session } = await engine(command, args);
  const tell = async (command: string) => {
    running.write(`${command}\n`);
    await running.line(/^done$/);
  };
  let bytes = 4 * MIB;
  /** Maps below one of its functions; returns what then says by which frame that was. */
  const map = async (how: 'call' | 'lost' = 'call') => {
    bytes += 4096;
    const mapped = bytes;
    await tell(`${how} ${mapped}`);
    return () => {
      const snapshot = session.snapshot();
      const stack = snapshot.stacks[snapshot.mappings.find((each) => each.bytes === mapped)!.stack] ?? [];
      const at = stack.findIndex(({ function: name }) => name === 'map_block');
      return { frame: stack[at + 1]!, stack, snapshot };
    };
  };
  return { tell, map, session };
}

test('a name is good from when the engine tells it, for stacks of before and after', async () => {
  const { tell, map } = await smallEngine();
  await tell('tell 0 8 py::first:/srv/a.py');
  const first = await map();
  expect(first().frame).toMatchObject({ function: 'first', file: '/srv/a.py', language: 'python' });
  await tell('tell 0 8 JS:*second file:///srv/b.mjs:7:1');
  const second = await map();
  expect(second().frame.function).toBe('second');
  await tell('anew');
  const still = await map();
  expect(still().frame.function).toBe('second');
  await tell('tell 0 8 Lapp/Third;::run');
  const third = await map();
  expect(third().frame).toMatchObject({ function: 'app.Third.run', language: 'java' });
  expect(second().frame).toMatchObject({ function: 'second', file: '/srv/b.mjs', line: 7 });
  expect(first().frame).toMatchObject({ function: 'first', language: 'python' });
  // Frame pointers lead through code without unwind information, to the root.
  expect(third().stack.map((frame) => frame.function)).toEqual(
    expect.arrayContaining(['mmap', 'map_block', 'app.Third.run', 'main', '__libc_start_main', '_start']),
  );
});

test('in a perf map with nonsense and overlaps the last word counts; what has no name is counted, and why', async () => {
  const { tell, map } = await smallEngine();
  const nameless = await map();
  expect(nameless().frame).toMatchObject({ module: '[anon]', function: null, unnamed: 'generatedCode' });
  const before = nameless().snapshot.completeness.unnamedFramesBy.generatedCode;
  await tell('raw no line of a perf map');
  await tell('raw ffffffffffffffff 10 beyond');
  await tell('raw 1000 0 empty');
  expect(nameless().snapshot.completeness.degraded).toContain(
    '3 entries of the perf map or jitdump make no sense',
  );
  await tell('tell 0 1000 JS:~whole page.js:1:1');
  await tell('tell 4 4 JS:~end page.js:2:1');
  const overlapping = await map();
  expect(overlapping().frame.function).toBe('end');
  const { completeness } = overlapping().snapshot;
  expect(completeness.unnamedFramesBy.generatedCode ?? 0).toBe(before! - 1);
});

test('code that hides its caller ends the stack, which is counted', async () => {
  const { tell, map } = await smallEngine();
  await tell('tell 100 10 JS:*lost lost.js:1:1');
  const truncated = await map('lost');
  const { frame, stack } = truncated();
  expect(frame.function).toBe('lost');
  expect(stack.at(-1)).toBe(frame);
  // Counts are read every now and then.
  await expect.poll(() => truncated().snapshot.completeness.truncatedStacks).toBeGreaterThan(0);
});

test('each process has a perf map of its own', async () => {
  const one = await smallEngine();
  const other = await smallEngine();
  await one.tell('tell 0 8 JS:*one app.js:1:1');
  await other.tell('tell 0 8 JS:*other app.js:1:1');
  const ofOne = await one.map();
  const ofOther = await other.map();
  expect([ofOne().frame.function, ofOther().frame.function]).toEqual(['one', 'other']);
});

test('the perf map of a process in a mount namespace of its own is looked for there', async (context) => {
  needs(context, 'namespaces');
  // What is built here may lie below /tmp, too.
  const shell =
    'mount --bind "$1" /mnt && mount -t tmpfs none /tmp && mkdir -p "$1" && mount --move /mnt "$1" && exec "$0"';
  const asRoot = process.getuid?.() === 0 ? [] : ['--map-root-user'];
  const command = ['--mount', ...asRoot, 'sh', '-c', shell, buildC('jit_code'), ROOT];
  const { tell, map } = await smallEngine(['unshare', ...command]);
  await tell('tell 0 8 JS:*inside app.js:1:1');
  const mapped = await map();
  expect(mapped().frame.function).toBe('inside');
});
