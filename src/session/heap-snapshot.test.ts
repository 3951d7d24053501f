import { expect, test } from 'vitest';
import fc from '../../test/support/properties.js';
import type { HeapAttribution } from '../ledger/heap-attribution.js';
import type { HeapSites, HeapTotals } from '../wire/heap.js';
import { heapSnapshot, OTHER_SITES } from './heap-snapshot.js';

const COLUMNS = [
  'liveBytes',
  'liveAllocations',
  'allocations',
  'frees',
  'temporary',
  'allocatedBytes',
  'peakBytes',
  'liveBytesVariance',
  'liveAllocationsVariance',
] as const;
type Row = Partial<Record<(typeof COLUMNS)[number], number>> & { stack: number };

function columns(rows: readonly Row[]): HeapSites {
  const column = (name: (typeof COLUMNS)[number]) => Float64Array.from(rows, (row) => row[name] ?? 0);
  return {
    stack: Uint32Array.from(rows, ({ stack }) => stack),
    ...(Object.fromEntries(COLUMNS.map((name) => [name, column(name)])) as Omit<HeapSites, 'stack'>),
  };
}

const totals = (given: Partial<HeapTotals> = {}): HeapTotals => ({
  mode: 'exact',
  sampleBytes: 524_288,
  epoch: 1,
  liveBytes: 0,
  liveAllocations: 0,
  allocations: 0,
  frees: 0,
  temporary: 0,
  allocatedBytes: 0,
  peakBytes: 0,
  liveBytesVariance: 0,
  liveAllocationsVariance: 0,
  beforeBytes: 0,
  beforeAllocations: 0,
  unknownFrees: 0,
  events: 0,
  lost: 0,
  waits: 0,
  withoutLane: 0,
  resumed: false,
  damaged: 0,
  ...given,
});

/** Even stacks are the program's, odd ones a library's. */
const attributionOf = (node: number): HeapAttribution =>
  node % 2 === 0
    ? { owner: 'app', path: '/bin/app', kind: 'program', caller: 'app' }
    : { owner: 'libfoo.so.1', path: '/usr/lib/libfoo.so.1', kind: 'library', caller: 'libc.so.6' };

test('sites by live bytes, their sums by owner and in all', () => {
  const heap = heapSnapshot(
    columns([
      { stack: 2, liveBytes: 100, liveAllocations: 1, allocations: 5, frees: 4, allocatedBytes: 500 },
      { stack: 3, liveBytes: 900, liveAllocations: 9, allocations: 9, allocatedBytes: 900, peakBytes: 950 },
      { stack: 4, allocations: 7, frees: 7, temporary: 7, allocatedBytes: 70 },
    ]),
    totals({ peakBytes: 1200, beforeBytes: 30, beforeAllocations: 2, unknownFrees: 6 }),
    attributionOf,
  );
  expect(heap.sites.map(({ stack, owner, caller }) => [stack, owner, caller])).toEqual([
    [3, 'libfoo.so.1', 'libc.so.6'],
    [2, 'app', 'app'],
    [4, 'app', 'app'],
  ]);
  expect(heap.sites[0]).toMatchObject({ liveBytes: 900, peakBytes: 950, standardErrorBytes: 0 });
  expect(heap).toMatchObject({
    ...{ mode: 'exact', estimated: false, liveBytes: 1000, liveAllocations: 10, allocations: 21, frees: 11 },
    ...{ temporary: 7, allocatedBytes: 1470, peakBytes: 1200, unknownFrees: 6 },
    before: { bytes: 30, allocations: 2 },
  });
  expect(heap.owners).toEqual([
    expect.objectContaining({ owner: 'libfoo.so.1', path: '/usr/lib/libfoo.so.1', liveBytes: 900 }),
    expect.objectContaining({ owner: 'app', kind: 'program', liveBytes: 100, allocations: 12, temporary: 7 }),
  ]);
});

test('of the sites from which nothing lives, the busiest are listed', () => {
  const dead = Array.from({ length: 600 }, (_, index) => ({
    stack: index + 2,
    allocations: index,
    frees: index,
  }));
  const heap = heapSnapshot(columns([...dead, { stack: 1, liveBytes: 1 }]), totals(), attributionOf);
  expect(heap.sites.map(({ stack }) => stack)).toEqual([
    1,
    ...dead
      .slice(100)
      .map(({ stack }) => stack)
      .reverse(),
    0,
  ]);
  expect(heap.sites.at(-1)).toMatchObject({ owner: OTHER_SITES, allocations: (99 * 100) / 2 });
});

test('estimates are rounded and say how far off they may be', () => {
  const heap = heapSnapshot(
    columns([
      {
        stack: 2,
        liveBytes: 1000.4,
        liveAllocations: 2.4,
        liveBytesVariance: 900,
        liveAllocationsVariance: 4,
      },
      {
        stack: 3,
        liveBytes: 500.4,
        liveAllocations: 1.4,
        liveBytesVariance: 1600,
        liveAllocationsVariance: 9,
      },
    ]),
    totals({ mode: 'sampled' }),
    attributionOf,
  );
  expect(heap).toMatchObject({ estimated: true, liveBytes: 1501, standardErrorBytes: 50 });
  expect(heap.sites.map(({ standardErrorBytes }) => standardErrorBytes)).toEqual([30, 40]);
  expect(heap.standardErrorAllocations).toBe(4);
});

const eighths = fc.nat(1e7).map((number) => number / 8);
const rows = fc.array(
  fc.record({
    stack: fc.nat(1000),
    liveBytes: eighths,
    liveAllocations: eighths,
    allocations: eighths,
    frees: eighths,
    temporary: eighths,
    allocatedBytes: eighths,
  }),
  { maxLength: 40 },
);

test('whatever is left out, the sites add up to the whole', () => {
  fc.assert(
    fc.property(rows, fc.integer({ min: 1, max: 10 }), (given, listed) => {
      const heap = heapSnapshot(columns(given), totals(), attributionOf, listed);
      expect(heap.sites.length).toBe(Math.min(given.length, listed + 1));
      for (const name of COLUMNS.slice(0, 6) as ('liveBytes' | 'allocations')[]) {
        expect(heap.sites.reduce((sum, site) => sum + site[name], 0)).toBe(heap[name]);
      }
      if (given.length > listed) expect(heap.sites.at(-1)).toMatchObject({ stack: 0, owner: OTHER_SITES });
      const bytes = heap.sites.slice(0, listed).map(({ liveBytes }) => liveBytes);
      // Rounded such that sums agree, equal ones may differ by one.
      bytes.reduce((before, each) => {
        expect(each).toBeLessThanOrEqual(before + 1);
        return each;
      }, Number.POSITIVE_INFINITY);
    }),
  );
});
