// Python's frames in stacks, for each version of the interpreter that is at hand, against what it says itself.
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Snapshot, SnapshotFrame } from '../src/report/schema.js';
import { attach } from '../src/session/attach.js';
import type { Session } from '../src/session/session.js';
import { buildC } from './support/build.js';
import { channelFolder, preloaded } from './support/offheap.js';
import { TARGET_SOURCES } from './support/paths.js';
import { type Python, pythons } from './support/pythons.js';
import { Running } from './support/running.js';
import { buildShimMutant, type ShimMutation } from './support/shim-mutant.js';

const EVALUATOR = '_PyEval_EvalFrameDefault';

/** What the target says of one of its mappings. */
interface Told {
  scenario: string;
  bytes: number;
  /** Leaf first: function, file, line. */
  frames: [string, string, number][];
}

function toldBy(output: string): Told[] {
  return [...output.matchAll(/^(.+) (\d+) (\[\[.*\]\])$/gm)].map(([, scenario, bytes, frames]) => ({
    scenario: scenario!,
    bytes: Number(bytes),
    frames: JSON.parse(frames!),
  }));
}

/** The stack of the mapping of so many bytes, leaf first. */
function stackOf(snapshot: Snapshot, bytes: number): SnapshotFrame[] {
  const mapping = snapshot.mappings.find((each) => each.bytes === bytes);
  if (mapping === undefined) throw new Error(`nothing of ${bytes} bytes was mapped`);
  return snapshot.stacks[mapping.stack] ?? [];
}

const isPython = (frame: SnapshotFrame | undefined) => frame?.language === 'python';

/** Function and line of Python's frames, the evaluator's calls as "eval", and "…" for other native code. */
function shape(stack: readonly SnapshotFrame[]): string {
  const words = stack.map((frame) => {
    if (isPython(frame)) return `${frame.function}`;
    return frame.function === EVALUATOR ? 'eval' : '…';
  });
  return words.filter((word, index) => word !== '…' || words[index - 1] !== '…').join(' ');
}

/** Scenarios whose callers are another interpreter's functions, or those of the greenlet that was left. */
const standsAlone = /^subinterpreter|^greenlet/;

interface Recorded {
  running: Running;
  session: Session;
}

async function record({ command, args, env }: Python, settings = {}): Promise<Recorded> {
  const dir = channelFolder();
  const script = `${TARGET_SOURCES}/python_frames.py`;
  const running = new Running(command, [...args, script], {
    env: { ...env, ...preloaded(dir), ...settings },
  });
  await running.line(/^READY$/);
  const session = await attach(running.pid, { dir });
  onTestFinished(() => session.close());
  return { running, session };
}

test('three versions at least are tried, one of them 3.13 or newer', () => {
  const minors = new Set(pythons().map(({ minor }) => minor));
  if (process.env.OFFHEAP_CI_NO_SKIPS !== '1') return;
  expect(minors.size).toBeGreaterThanOrEqual(3);
  expect(Math.max(...minors)).toBeGreaterThanOrEqual(13);
});

describe.each(pythons())('$name', (python) => {
  test('names the frames that the interpreter names', async () => {
    const { running, session } = await record(python);
    const before = toldBy(running.stdout);
    const live = session.snapshot();
    running.write('\n');
    await running.line(/^EXITING$/);
    const exiting = session.snapshot();
    const told = toldBy(running.stdout);
    expect(told.length).toBeGreaterThanOrEqual(20);
    expect(told.length).toBe(before.length + 1);

    for (const { scenario, bytes, frames } of told) {
      const stack = stackOf(scenario === 'atexit' ? exiting : live, bytes);
      const named = stack.filter(isPython).map(({ function: name, file, line }) => [name, file, line]);
      expect({ scenario, frames: named }).toEqual({ scenario, frames });
      expect(stack.at(-1)?.function ?? '(thread)', scenario).toMatch(
        /^(_start|__clone3?|clone3?|\(thread\))$/,
      );
      const interpreter = stack.find((frame) => frame.function === EVALUATOR)?.module;
      // Stripped of its name in some builds, it still stands where it should.
      if (!stack.some((frame) => frame.function === EVALUATOR)) continue;
      for (const [index, frame] of stack.entries()) {
        const callee = stack[index - 1];
        // A function's frames stand right above the call of the evaluator that runs them.
        if (isPython(callee) && !isPython(frame)) {
          // Its part for what is rare has no name in stripped builds.
          expect([EVALUATOR, null], scenario).toContain(frame.function);
          expect(frame.module, scenario).toBe(interpreter);
        }
        if (frame.function === EVALUATOR && !standsAlone.test(scenario))
          expect(isPython(callee), scenario).toBe(true);
      }
    }
    expect(exiting.completeness.degraded).toEqual(live.completeness.degraded);
    expect(live.completeness.degraded.filter((reason) => reason.includes('Python'))).toEqual([]);

    const sorted = stackOf(live, told.find(({ scenario }) => scenario === 'sorted')!.bytes);
    const separate = python.minor < 11 ? ' eval …' : '';
    if (sorted.some((frame) => frame.function === EVALUATOR)) {
      expect(shape(sorted)).toBe(
        `… grab${separate} sort_key eval … calls_back${separate} everything${separate} <module> eval …`,
      );
    }
    // Who owns memory isn't changed by who asked for it in Python.
    expect(live.owners.some(({ owner }) => owner.includes('python_frames'))).toBe(false);
  });
});

/** Free-threaded ones have an allocator of their own for all of Python's objects, and leave malloc to others. */
const allocating = pythons().filter(({ isFreeThreaded }) => !isFreeThreaded);

interface Blocks {
  bytes: number;
  blocks: number;
}

/** The stacks of Python functions whose blocks are not those that the target says it holds there. */
async function misplacedBlocks({ command, args, env }: Python, shim?: string) {
  const dir = channelFolder();
  const script = `${TARGET_SOURCES}/python_heap_frames.py`;
  const preload = { ...preloaded(dir), ...(shim === undefined ? {} : { LD_PRELOAD: shim }) };
  const running = new Running(command, [...args, script, '7'], {
    env: { ...env, ...preload, OFFHEAP_HEAP: 'exact' },
  });
  await running.line(/^READY$/);
  const session = await attach(running.pid, { dir });
  onTestFinished(() => session.close());
  const { heap, stacks, completeness } = session.snapshot();
  expect(completeness.heapEventsLost).toBe(0);

  const found = new Map<string, Blocks>();
  for (const { stack, liveBytes, liveAllocations } of heap.sites) {
    const frames = (stacks[stack] ?? []).filter(isPython);
    if (frames[0]?.function !== 'grab') continue;
    const key = JSON.stringify(frames.map(({ function: name, file, line }) => [name, file, line]));
    const { bytes, blocks } = found.get(key) ?? { bytes: 0, blocks: 0 };
    found.set(key, { bytes: bytes + liveBytes, blocks: blocks + liveAllocations });
  }
  const told = new Map(
    [...running.stdout.matchAll(/^(\[\[.*\]\]) (\d+) (\d+)$/gm)].map(([, stack, bytes, blocks]) => [
      JSON.stringify(JSON.parse(stack!)),
      { bytes: Number(bytes), blocks: Number(blocks) },
    ]),
  );
  expect(told.size).toBeGreaterThan(300);
  return [...new Set([...told.keys(), ...found.keys()])]
    .map((stack) => ({ stack, told: told.get(stack), found: found.get(stack) }))
    .filter(({ told, found }) => told?.bytes !== found?.bytes || told?.blocks !== found?.blocks);
}

describe.each(allocating)('blocks of $name', (python) => {
  test('stand at the functions and lines that allocated them', async () => {
    expect((await misplacedBlocks(python)).slice(0, 3)).toEqual([]);
  });
});

/** Of the proof of a chain of frames that is kept: all of it, or a part. */
const UNPROVEN: ({ what: string } & ShimMutation)[] = [
  {
    what: 'a chain of frames',
    source: 'preload/python/recurring_frames.h',
    from: 'chain.calls > kWords) return false;',
    to: 'chain.calls > kWords) return false;\n        if (chain.node != 0) return true;',
  },
  {
    what: 'the instruction that a frame is at',
    source: 'preload/python/recurring_frames.cc',
    from: 'read(frame.address + structures.frame_instruction);',
    to: 'read(frame.address + structures.frame_code);',
  },
];

test.each(UNPROVEN)(
  '$what that is taken for known unproven is found out',
  { timeout: 180_000 },
  async (mutation) => {
    const misplaced = await misplacedBlocks(allocating[0]!, buildShimMutant(mutation));
    expect(misplaced.length).toBeGreaterThan(0);
  },
);

/** An interpreter that has ctypes, of each version. */
const poking = pythons().filter(({ name }) => name.startsWith('system') || name.startsWith('pyenv'));

test.each(poking)('$name: a broken chain costs its own frames, and is counted', async (python) => {
  const { command, args, env } = python;
  const dir = channelFolder();
  const script = `${TARGET_SOURCES}/python_broken_frames.py`;
  const running = new Running(command, [...args, script], { env: { ...env, ...preloaded(dir) } });
  await running.line(/^READY$/);
  const session = await attach(running.pid, { dir });
  onTestFinished(() => session.close());
  const snapshot = session.snapshot();
  const broken = [...running.stdout.matchAll(/^BROKEN (\d+)$/gm)].map(([, bytes]) => Number(bytes));
  expect(broken).toHaveLength(5);
  for (const bytes of broken) {
    const stack = stackOf(snapshot, bytes);
    expect(stack.at(0)?.function).toBe('mmap');
    expect(stack.at(-1)?.function).toBe('_start');
    // Up to the break each call of the evaluator has its function, where it has one to itself.
    const expected = python.minor < 11 ? ['broken'] : [];
    expect(stack.filter(isPython).map((frame) => frame.function)).toEqual(expected);
  }
  const [, whole] = /^WHOLE (\d+)$/m.exec(running.stdout)!;
  const names = stackOf(snapshot, Number(whole)).filter(isPython);
  expect(names.map((frame) => frame.function)).toEqual(['whole', '<module>']);
  const reasons = snapshot.completeness.degraded.join('\n');
  const [, count] = /^of (\d+) stacks the Python frames could not all be read or placed$/m.exec(reasons)!;
  expect(Number(count)).toBeGreaterThanOrEqual(5);
});

test('OFFHEAP_PYTHON=off leaves the native frames, and nothing to complain about', async () => {
  const { running, session } = await record(pythons()[0]!, { OFFHEAP_PYTHON: 'off' });
  const snapshot = session.snapshot();
  for (const { scenario, bytes } of toldBy(running.stdout)) {
    const stack = stackOf(snapshot, bytes);
    expect(stack.filter(isPython), scenario).toEqual([]);
    expect(stack.at(-1)?.function ?? '(thread)', scenario).toMatch(/^(_start|__clone3?|clone3?|\(thread\))$/);
  }
  expect(snapshot.completeness.degraded.filter((reason) => reason.includes('Python'))).toEqual([]);
});

test('a version that is not known gives native frames, and that is said', async () => {
  const dir = channelFolder();
  const running = new Running(buildC('python_unknown', { flags: ['-rdynamic'] }), [], {
    env: preloaded(dir),
  });
  await running.line(/^READY$/);
  const session = await attach(running.pid, { dir });
  onTestFinished(() => session.close());
  const snapshot = session.snapshot();
  expect(stackOf(snapshot, 300 << 12).map((frame) => frame.language)).not.toContain('python');
  expect(snapshot.completeness.degraded.filter((reason) => reason.includes('Python'))).toHaveLength(1);
});
