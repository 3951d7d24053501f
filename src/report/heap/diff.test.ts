import { expect, test } from 'vitest';
import { diffSnapshots } from '../diff.js';
import { diffTable } from '../diff-table.js';
import { heapChange } from './diff.js';
import { heapChangeLines } from './diff-lines.js';
import { sampleHeapSnapshot } from './sample.js';

test('the sites that grew, and no others', () => {
  const change = heapChange(sampleHeapSnapshot(20_000), sampleHeapSnapshot(30_000));
  expect(change).toMatchObject({ bytes: 1_000_000, allocations: 10_000, standardErrorBytes: 0 });
  expect(change?.grown).toEqual([
    {
      owner: 'libcache.so.1',
      kind: 'library',
      bytes: 1_000_000,
      allocations: 10_000,
      standardErrorBytes: 0,
      frames: [
        'operator new(unsigned long) (libstdc++.so.6)',
        'cache_insert (libcache.so.1)',
        'main (python3.11)',
      ],
    },
  ]);
  expect(heapChangeLines(change, 60)).toEqual([
    '',
    'heap: +1.00 MB in +10,000 allocations',
    '',
    'libcache.so.1: +1.00 MB in +10,000 allocations',
    '    operator new(unsigned long) (libstdc++.so.6)',
    '    cache_insert (libcache.so.1)',
    '    main (python3.11)',
  ]);
});

test('stacks are told by what they say: their numbers are another recording’s', () => {
  const later = sampleHeapSnapshot(20_001);
  for (const site of later.heap.sites) if (site.stack !== 0) site.stack += 100;
  later.stacks = { ...later.stacks, 111: later.stacks[11]!, 112: later.stacks[12]! };
  expect(heapChange(sampleHeapSnapshot(20_000), later)?.grown).toMatchObject([{ bytes: 100 }]);
});

test('of estimates, what may be chance is no growth', () => {
  const change = (cached: number) =>
    heapChange(sampleHeapSnapshot(0, true), sampleHeapSnapshot(cached, true));
  // The standard error of the difference is 14,142 bytes.
  expect(change(280)?.grown).toEqual([]);
  expect(change(290)?.grown).toMatchObject([{ bytes: 29_000, standardErrorBytes: 14_142 }]);
});

test('a heap that changed is in the table though no owner did', () => {
  const table = diffTable(diffSnapshots(sampleHeapSnapshot(1), sampleHeapSnapshot(2)), 60);
  expect(table.split('\n').slice(0, 3)).toEqual(['change over 0 s', '', 'heap: +100 B in +1 allocation']);
});

test('what another collector began to follow in between is not compared', () => {
  const earlier = sampleHeapSnapshot(20_000);
  const later = sampleHeapSnapshot(10);
  later.heap.followedSince = '2026-01-21T10:02:00.000Z';
  const diff = diffSnapshots(earlier, later);
  expect(diff.heap).toBe(null);
  expect(diffTable(diff, 200)).toContain('heap: not compared');
  earlier.heap.followedSince = later.heap.followedSince;
  expect(diffSnapshots(earlier, later).heap?.allocations).toBe(-19_990);
});
