import { expect, test } from 'vitest';
import { buildC, buildCxx } from './support/build.js';
import { comparable } from './support/heap-counts.js';
import { PROGRAMS, type Program } from './support/heap-programs.js';
import { type RecordedHeap, recordHeap } from './support/heap-recorded.js';

/** Nothing is missing, and the ledger says what the counting shim says, which saw the same calls. */
function expectExact(heap: RecordedHeap): void {
  const { totals, counts } = heap;
  expect(counts).not.toBeNull();
  expect(totals).toMatchObject({ mode: 'exact', lost: 0, damaged: 0, withoutLane: 0 });
  expect(comparable(totals)).toEqual(counts);
  const sum = (column: 'liveBytes' | 'allocations' | 'frees') =>
    heap.sites.reduce((all, site) => all + site[column], 0);
  expect({ liveBytes: sum('liveBytes'), allocations: sum('allocations'), frees: sum('frees') }).toEqual({
    liveBytes: totals.liveBytes,
    allocations: totals.allocations,
    frees: totals.frees,
  });
}

const OWN: Program[] = [
  { name: 'every way to allocate', require: () => {}, command: () => [buildCxx('heap_cxx')] },
  { name: 'sizes at the limits', require: () => {}, command: () => [buildC('heap_results')] },
  { name: 'early, late and in handlers', require: () => {}, command: () => [buildCxx('heap_late')] },
  { name: 'two threads, cross frees', require: () => {}, command: () => [buildC('heap_flood'), '1000000'] },
];

const cases = [...PROGRAMS, ...OWN].map((program) => [program.name, program] as const);

test.for(cases)('%s: counts are a counting shim’s, exactly', async ([, program], context) => {
  program.require(context);
  const heap = await recordHeap(program.command(), {
    counting: true,
    ...(program.env === undefined ? {} : { env: program.env }),
  });
  expect(heap.run.status, heap.run.stderr.toString()).toBe(0);
  expect(heap.totals.allocations).toBeGreaterThan(100);
  expectExact(heap);
});
