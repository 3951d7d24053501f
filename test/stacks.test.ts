import { expect, test } from 'vitest';
import { buildC, buildCxx, buildSharedC } from './support/build.js';
import { record } from './support/recorded.js';
import type { RecordedProcess } from './support/recorded-process.js';

const MIB = 1 << 20;
/** Where every stack begins: of the first thread, of another one, of a constructor that the loader runs; the last ones by libc6-dbg. */
const OUTERMOST = ['_start', '[libc.so.6]', '[ld-linux-x86-64.so.2]', 'clone3', '_dl_start_user'];

/** The functions on the stacks of the target's mappings of a size, leaf first; one entry for each mapping. */
function stacksOf(process: RecordedProcess, bytes: number): string[][] {
  const { mappings, stacks } = process.snapshot();
  return mappings
    .filter((mapping) => mapping.bytes === bytes && mapping.kind !== 'profiler')
    .map(({ stack }) => (stacks[stack] ?? []).map((frame) => frame.function ?? `[${frame.module}]`));
}

function expectWhole(process: RecordedProcess): void {
  expect(process.snapshot().completeness.degraded).toEqual([]);
  expectWholeStacks(process);
}

function expectWholeStacks(process: RecordedProcess): void {
  expect(process.snapshot().completeness.truncatedStacks).toBe(0);
  for (const stack of process.stacks()) expect(OUTERMOST).toContain(stack.at(-1));
}

test.for([10, 303, 10_000, 40_000])('%i frames deep, without frame pointers: all of them', async (frames) => {
  const { recorder, main } = await record(buildC('deep_stack'), [String(frames)]);
  using _ = recorder;
  const [stack] = stacksOf(main, MIB);
  expect(stack!.slice(0, 3)).toEqual(['mmap', 'map_at_the_bottom', 'descend']);
  expect(stack!.filter((name) => name === 'descend')).toHaveLength(frames + 1);
  expectWhole(main);
});

test('deeper than there is room for: cut, counted and said', async () => {
  // Where files must be small, so is the channel.
  const deep = (frames: number) =>
    record('prlimit', [`--fsize=${8 * MIB}`, buildC('deep_stack'), String(frames)]);
  const small = await deep(10);
  const frames = small.main.recording.header.nodesCapacity;
  small.recorder[Symbol.dispose]();
  expect(frames).toBeLessThan(1 << 18);

  const { recorder, run, main } = await deep(frames);
  using _ = recorder;
  expect(run.status).toBe(0);
  const { completeness } = main.snapshot();
  expect(completeness.truncatedStacks).toBeGreaterThan(0);
  expect(completeness.truncatedStacks).toBe(main.recording.truncatedStacks);
  expect(completeness.degraded).toEqual([expect.stringMatching(/stacks is full/)]);
  // What is nearest to the root is kept.
  const [stack] = stacksOf(main, MIB);
  expect(OUTERMOST).toContain(stack!.at(-1));
});

test('signal handlers, on the thread’s stack and on an alternate one, left by siglongjmp', async () => {
  const { recorder, run, main } = await record(buildC('signals'), ['600']);
  using _ = recorder;
  expect(run.status).toBe(0);
  expect(Number(/handled (\d+)/.exec(run.stdout.toString())![1])).toBeGreaterThan(10);
  const stacks = main.stacks();
  const inHandler = stacks.filter((stack) => stack.includes('on_alarm'));
  expect(inHandler.length).toBeGreaterThan(1);
  // A signal that comes while a stub runs: nothing tells how to leave the stub. The stack ends there, and that is counted.
  const cut = inHandler.filter((stack) => stack.at(-1) === '[[anon]]');
  if (cut.length === 0) expectWholeStacks(main);
  else expect(main.recording.truncatedStacks).toBeGreaterThanOrEqual(cut.length);
  const whole = inHandler.filter((stack) => !cut.includes(stack));
  expect(whole.length).toBeGreaterThan(cut.length);
  for (const stack of whole) expect(stack.indexOf('main')).toBeGreaterThan(stack.indexOf('on_alarm'));
  // A jump may leave a call before its outcome is known, or a record half written: by chance, one each, and told.
  const { mappingEventsLost, degraded } = main.snapshot().completeness;
  expect(mappingEventsLost).toBeLessThanOrEqual(Number(/jumped (\d+)/.exec(run.stdout.toString())![1]));
  const isLost = /^events were lost/;
  expect(degraded.some((reason) => isLost.test(reason))).toBe(mappingEventsLost > 0);
  const others = degraded.filter(
    (reason) => !isLost.test(reason) && !/^a signal handler jumped/.test(reason),
  );
  expect(others).toEqual([]);
});

test('coroutines: each to its own function, where its stack ends', async () => {
  const { recorder, main } = await record(buildC('coroutines'), ['50']);
  using _ = recorder;
  expect(main.snapshot().completeness.truncatedStacks).toBe(0);
  const stacks = main.stacks();
  for (const name of ['first_coroutine', 'second_coroutine']) {
    const own = stacks.filter((stack) => stack.includes(name));
    expect(own.length).toBeGreaterThan(0);
    for (const stack of own) {
      expect(stack).not.toContain('main');
      expect(stack.filter((other) => other.endsWith('_coroutine'))).toEqual([name]);
    }
  }
});

test('C++ exceptions: destructors under the unwinder, handlers behind it', async () => {
  const { recorder, run, main } = await record(buildCxx('exceptions'), ['10']);
  using _ = recorder;
  expect(run.status).toBe(0);
  const destroyed = stacksOf(main, 40 << 10);
  expect(destroyed).toHaveLength(30);
  for (const stack of destroyed) {
    expect(stack.some((name) => name.includes('~MapsWhenDestroyed'))).toBe(true);
    expect(stack.some((name) => name.includes('throw_below'))).toBe(true);
    expect(stack).toContain('main');
  }
  const handled = stacksOf(main, 88 << 10);
  expect(handled).toHaveLength(10);
  for (const stack of handled) {
    expect(stack.some((name) => name.includes('catch_once'))).toBe(true);
    expect(stack.some((name) => name.includes('throw_below'))).toBe(false);
    expect(stack).toContain('main');
  }
  expectWhole(main);
});

test('libraries that take each other’s addresses: each stack names the one that was there', async () => {
  const [plugin, other] = [buildSharedC('plugin'), buildSharedC('plugin', { as: 'other.so' })];
  const { recorder, run, main } = await record(buildC('dlopen_cycle'), [plugin, other, '10']);
  using _ = recorder;
  expect(run.status).toBe(0);
  const { mappings, stacks } = main.snapshot();
  const leaves = new Map<string, Set<string>>();
  for (const [owner, bytes] of [
    ['plugin.so', 64 << 10],
    ['other.so', 128 << 10],
  ] as const) {
    const own = mappings.filter((mapping) => mapping.owner === owner && mapping.bytes === bytes);
    expect(own).toHaveLength(10);
    leaves.set(owner, new Set());
    for (const { stack, kind } of own) {
      expect(kind).toBe('library');
      const frames = stacks[stack]!;
      expect(frames.find(({ module }) => module === owner)).toMatchObject({ function: 'plugin_allocate' });
      expect(frames.at(-1)).toMatchObject({ function: '_start' });
      leaves.get(owner)!.add(frames.find(({ module }) => module === owner)!.address);
    }
  }
  // Else nothing was shown: the same address stands for both libraries at different times.
  expect([...leaves.get('plugin.so')!].some((address) => leaves.get('other.so')!.has(address))).toBe(true);
  expectWhole(main);
});
