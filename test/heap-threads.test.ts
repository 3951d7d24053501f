import { expect, test } from 'vitest';
import { buildC, buildCxx } from './support/build.js';
import { comparable } from './support/heap-counts.js';
import { recordHeap, sumOf } from './support/heap-recorded.js';

const CHUNK_BYTES = 16_384;

test('ten thousand threads, fifty at a time: each event counts, lanes and chunks are used again', async () => {
  const heap = await recordHeap([buildC('heap_threads'), '10000', '50'], { counting: true });
  expect(heap.run.stdout.toString()).toBe('kept 20000\n');
  expect(heap.totals).toMatchObject({ mode: 'exact', lost: 0, withoutLane: 0, damaged: 0 });
  expect(comparable(heap.totals)).toEqual(heap.counts);
  expect(sumOf(heap, 'liveAllocations', 'kept_for_good')).toBe(20_000);
  expect(sumOf(heap, 'liveBytes', 'kept_for_good')).toBe(20_000 * 500);
  expect(sumOf(heap, 'liveAllocations', 'work')).toBe(20_000);
  // Sixteen of its own, two for its successor, two for good: each thread's are its own, whoever had its lane before.
  const { threadId, allocations } = heap.threads;
  const own = [...threadId].filter((id, row) => id !== heap.pid && allocations[row] === 20);
  expect(own).toHaveLength(10_000);
  // A thread that is ending may still have its lane when its successor comes.
  expect(heap.header.lanesUsed).toBeLessThan(200);
  // Far less than all their events: those are 20 MB.
  expect(heap.header.chunksBacked * CHUNK_BYTES).toBeLessThan(8 << 20);
});

test('two thousand threads at once', async () => {
  const heap = await recordHeap([buildC('heap_crowd'), '2000'], { counting: true });
  expect(heap.run.stdout.toString()).toBe('2000 at once\n');
  expect(heap.totals).toMatchObject({ mode: 'exact', lost: 0, withoutLane: 0, damaged: 0 });
  expect(comparable(heap.totals)).toEqual(heap.counts);
  expect(heap.header.lanesUsed).toBeGreaterThanOrEqual(2000);
  expect(heap.header.lanesUsed).toBeLessThan(2010);
});

test('blocks that rest with a thread that sleeps, freed by another and got again', async () => {
  const heap = await recordHeap([buildC('heap_handover'), '50'], { counting: true });
  expect(heap.run.stdout.toString()).toBe('came back: most\n');
  expect(comparable(heap.totals)).toEqual(heap.counts);
  expect(sumOf(heap, 'liveAllocations', 'take_again')).toBe(50);
  expect(sumOf(heap, 'liveAllocations', 'give')).toBe(0);
  expect(sumOf(heap, 'frees', 'give')).toBe(50);
});

test('what is allocated before main, after it, and where threads end', async () => {
  const heap = await recordHeap([buildCxx('heap_late')], { counting: true });
  expect(heap.run.stdout.toString()).toBe('done\n');
  expect(comparable(heap.totals)).toEqual(heap.counts);
  const kept = (place: string) => sumOf(heap, 'liveAllocations', place);
  expect({
    early: kept('in_early_constructor'),
    constructor: kept('in_constructor'),
    // In four rounds each of two threads.
    keys: kept('in_key_destructor'),
    threadLocal: kept('in_thread_local_destructor'),
    handler: kept('in_handler'),
    atexit: kept('in_atexit'),
    static: kept('in_static_destructor'),
    destructor: kept('in_destructor_function'),
  }).toEqual({
    early: 3,
    constructor: 4,
    keys: 5 * 4 * 2,
    threadLocal: 6,
    handler: 7,
    atexit: 8,
    static: 9,
    destructor: 10,
  });
});

test('a forked child has an account of its own, which begins with the fork', async () => {
  const heap = await recordHeap([buildC('heap_fork')], { counting: true });
  const pid = Number(/child (\d+)/.exec(heap.run.stdout.toString())![1]);
  const child = heap.processes.find((process) => process.pid === pid)!;
  expect(comparable(heap.totals)).toEqual(heap.counts);
  expect(sumOf(heap, 'liveAllocations', 'allocate_in_parent')).toBe(30);
  expect(sumOf(heap, 'allocations', 'allocate_in_child')).toBe(0);
  // What it has inherited was allocated before.
  expect(comparable(child.totals)).toEqual(child.counts);
  expect(child.totals.unknownFrees).toBe(100);
  expect(sumOf(child, 'allocations', 'allocate_in_child')).toBe(140);
  expect(sumOf(child, 'liveBytes', 'allocate_in_child')).toBe(70 * 300);
});
