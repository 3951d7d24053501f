import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { buildC, buildCxx, buildSharedC } from './support/build.js';
import { BOOST_CONTEXT, heapNeeds, preloadable, pythonWith } from './support/heap-needs.js';
import { type HeapRun, recordHeap, sumOf } from './support/heap-recorded.js';
import { TARGET_SOURCES } from './support/paths.js';
import { type Run, run as runAlone } from './support/recorded.js';

/** What the outside can see of a run. */
const visible = ({ status, signal, stdout, stderr }: Run) => ({
  status,
  signal,
  stdout: stdout.toString(),
  stderr: stderr.toString(),
});

/** Each capture is compared with a whole walk. */
const VERIFIED = { OFFHEAP_VERIFY: '1' };

function expectVerified({ header }: HeapRun, atLeast: number): void {
  expect(header.capturesVerified).toBeGreaterThanOrEqual(atLeast);
  expect(header.captureMismatches).toBe(0);
}

/** An allocator that bears being left half way, and forgives what frees it gets. */
const forgiving = () => buildSharedC('heap_bump');

describe('frees that should not be', () => {
  test.each(['twice', 'foreign'])('%s: glibc ends the program as it would without us', async (what) => {
    const alone = await runAlone(buildC('heap_bad_frees'), [what]);
    const heap = await recordHeap([buildC('heap_bad_frees'), what]);
    expect(alone.signal).toBe('SIGABRT');
    expect(alone.stderr.toString()).toMatch(/^free\(\): /);
    expect(visible(heap.run)).toEqual(visible(alone));
    expect(heap.totals.unknownFrees).toBe(1);
  });

  test('an allocator that forgives gets them all; they are counted and change nothing', async () => {
    const preload = [forgiving()];
    const alone = await runAlone(buildC('heap_bad_frees'), ['tolerated'], {
      env: { LD_PRELOAD: preload.join() },
    });
    const heap = await recordHeap([buildC('heap_bad_frees'), 'tolerated'], { preload });
    expect(visible(heap.run)).toEqual(visible(alone));
    expect(heap.run.status).toBe(0);
    // A thousand blocks freed twice, a hundred pointers and fifty of realloc that nobody gave out.
    expect(heap.totals.unknownFrees).toBe(1000 + 100 + 50);
    expect(sumOf(heap, 'allocations', 'tolerated')).toBe(1000 + 50);
    expect(sumOf(heap, 'frees', 'tolerated')).toBe(1000);
    expect(sumOf(heap, 'liveBytes', 'tolerated')).toBe(50 * 32);
  });
});

describe.each(['glibc', 'jemalloc', 'tcmalloc', 'mimalloc'] as const)('%s', (allocator) => {
  test.for(['exact', 'sampled', 'off'] as const)(
    'gives the same results and errno for sizes and alignments beyond the limits: %s',
    async (mode, context) => {
      const preload = allocator === 'glibc' ? [] : [preloadable(context, allocator)];
      const args = allocator === 'glibc' ? [] : ['tame'];
      const alone = await runAlone(buildC('heap_results'), args, { env: { LD_PRELOAD: preload.join() } });
      const heap = await recordHeap([buildC('heap_results'), ...args], {
        preload,
        heap: mode,
        sampleBytes: 1000,
      });
      expect(alone.status, alone.stderr.toString()).toBe(0);
      expect(heap.run.stdout.toString()).toBe(alone.stdout.toString());
      expect(visible(heap.run)).toEqual(visible(alone));
    },
  );
});

describe('other allocators come into play', () => {
  test('a program that brings its own malloc works, and it is said that calls are unseen', async () => {
    const alone = await runAlone(buildC('heap_private_malloc'));
    const heap = await recordHeap([buildC('heap_private_malloc')]);
    expect(visible(heap.run)).toEqual(visible(alone));
    expect(heap.run.status).toBe(0);
    expect(heap.header.degraded).toEqual([expect.stringMatching(/^another malloc comes before the shim's/)]);
  });

  test('one that is loaded late, bound to itself and then for all', async () => {
    const command = [buildC('heap_deepbound'), forgiving()];
    const alone = await runAlone(command[0]!, command.slice(1));
    const heap = await recordHeap(command, { env: VERIFIED });
    expect(visible(heap.run)).toEqual(visible(alone));
    expect(heap.run.status).toBe(0);
    // What the process's own malloc gave: thrice a hundred blocks. The late one's is its own.
    expect(sumOf(heap, 'allocations', 'use')).toBe(300);
    expect(sumOf(heap, 'liveAllocations', 'use')).toBe(0);
    expectVerified(heap, 300);
  });
});

test('blocks of libraries that are gone keep their stacks, though another library lies there now', async () => {
  const plugin = (name: string) =>
    buildSharedC('heap_plugin', { flags: [`-DPLUGIN_FUNCTION=${name}`], as: `heap_${name}.so` });
  const rounds = 20;
  const command = [buildC('heap_unloaded'), String(rounds), plugin('plugin_one'), plugin('plugin_two')];
  const heap = await recordHeap(command, { env: VERIFIED });
  expect(heap.run.stdout.toString()).toBe('at the same place: yes\n');
  expect(sumOf(heap, 'liveBytes', 'plugin_one')).toBe(rounds * 10 * 1000);
  expect(sumOf(heap, 'liveBytes', 'plugin_two')).toBe(rounds * 10 * 3000);
  const modules = (name: string) =>
    new Set(heap.sites.flatMap(({ functions, modules }) => modules.filter((_, i) => functions[i] === name)));
  expect(modules('plugin_one')).toEqual(new Set(['heap_plugin_one.so']));
  expect(modules('plugin_two')).toEqual(new Set(['heap_plugin_two.so']));
  expectVerified(heap, 20 * rounds);
});

describe('control goes its own ways', () => {
  test('handlers that allocate and leave by siglongjmp, from wherever they interrupted', async () => {
    const heap = await recordHeap([buildC('heap_jumps'), '3000'], { preload: [forgiving()], env: VERIFIED });
    expect(heap.run.status, heap.run.stderr.toString()).toBe(0);
    const [, jumped, completed] = heap.run.stdout
      .toString()
      .match(/^jumped (\d+) completed (\d+)\n$/)!
      .map(Number);
    expect(jumped).toBeGreaterThan(10);
    // A jump may leave one call between the block's being there and its record, or between its release and its count.
    const recorded = sumOf(heap, 'allocations', 'allocate');
    expect(Math.abs(recorded - completed!)).toBeLessThanOrEqual(jumped!);
    expect(sumOf(heap, 'liveAllocations', 'allocate')).toBeLessThanOrEqual(jumped!);
    expect(heap.totals).toMatchObject({ lost: 0, damaged: 0 });
    expectVerified(heap, 10_000);
  });

  test('stacks that overflow, and the handler on an alternate one that allocates and jumps out', async () => {
    const preload = [forgiving()];
    const alone = await runAlone(buildC('heap_overflow'), [], { env: { LD_PRELOAD: preload.join() } });
    const heap = await recordHeap([buildC('heap_overflow')], { preload, env: VERIFIED });
    expect(alone.stdout.toString()).toMatch(/alive\n$/);
    expect(visible(heap.run)).toEqual(visible(alone));
    expectVerified(heap, 1000);
  });

  test('stacks of every shape: makecontext, alternate stacks, exceptions, longjmp, generated code', async () => {
    const command = [buildCxx('heap_shapes'), '100000'];
    const heap = await recordHeap(command, { env: VERIFIED, counting: true });
    expect(heap.run.status, heap.run.stderr.toString()).toBe(0);
    expectVerified(heap, 100_000);
    expect(heap.totals.allocations).toBe(heap.counts!.allocations);
    expect(heap.totals.frees).toBe(heap.counts!.frees);
  });

  test('coroutines of boost.context', async (context) => {
    heapNeeds(context, 'boostContext');
    const heap = await recordHeap([buildC('heap_fcontext'), BOOST_CONTEXT, '5000'], { env: VERIFIED });
    expect(visible(heap.run)).toMatchObject({ status: 0, stdout: 'switched 5000 times\n', stderr: '' });
    expectVerified(heap, 15_000);
    expect(sumOf(heap, 'allocations', 'body')).toBeGreaterThan(5000);
  });

  test('greenlets, which exchange the contents of one stack', async (context) => {
    heapNeeds(context, 'greenlet');
    const command = [pythonWith('greenlet')!, join(TARGET_SOURCES, 'heap_greenlet.py'), '3000'];
    const heap = await recordHeap(command, { env: VERIFIED });
    expect(visible(heap.run)).toMatchObject({ status: 0, stdout: 'switched 3000\n', stderr: '' });
    expectVerified(heap, 10_000);
  });
});
