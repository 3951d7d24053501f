import { expect, test } from 'vitest';
import type { HeapAsked } from '../../wire/heap.js';
import type { Coverage, Recorded } from './asked.js';
import type { AllocatorInside } from './inside.js';
import { insideAsTold, type ToldStatistics } from './told.js';

const MEBIBYTE = 1 << 20;
const ASKED: HeapAsked = {
  ...{ blocks: 1000, bytes: 3 * MEBIBYTE, slackBytes: MEBIBYTE, slackResidentBytes: MEBIBYTE / 2 },
  ...{ slackBytesVariance: 0, unclassedBytes: 0, residentBytes: 5 * MEBIBYTE },
};

function recordedAs(coverage: Coverage, asked: Partial<HeapAsked> = {}): Recorded {
  return {
    coverage,
    glibcHeaps: () => {
      throw new Error('these are no heaps of glibc');
    },
    asked: () => ({ ...ASKED, ...asked }),
  };
}

/** An allocator with 8 MiB in memory. */
function inside(owner: string, recorded: Recorded, told?: ToldStatistics): AllocatorInside {
  const read = insideAsTold({ statistics: () => told, sizeClasses: () => [] }, recorded);
  const ranges = [{ start: 0, end: 16 * MEBIBYTE, residentBytes: 8 * MEBIBYTE, swapBytes: 0 }];
  return read(1, { owner, path: null, ranges, areas: [] })!;
}

const bytesOf = ({ parts }: AllocatorInside) =>
  Object.fromEntries(parts.map(({ kind, residentBytes }) => [kind, residentBytes / MEBIBYTE]));

test('of any allocator all of whose blocks are recorded, what lives and what is left is known', () => {
  const found = inside('libsnmalloc.so', recordedAs('all'));
  expect(bytesOf(found)).toEqual({ live: 3, slack: 0.5, pinned: 1.5, retained: 3 });
  expect(found.problems).toEqual([]);
  expect(found.asked).toMatchObject({ coverage: 'all', bytes: 3 * MEBIBYTE, slackBytes: MEBIBYTE });
});

test('where its sizes of blocks are not known, slack is not told, and the rest says that it is in it', () => {
  const found = inside(
    'libhoard.so',
    recordedAs('all', { slackBytes: 0, slackResidentBytes: 0, unclassedBytes: ASKED.bytes }),
  );
  expect(found.asked).toMatchObject({ slackBytes: null });
  expect(bytesOf(found)).toEqual({ live: 3, slack: 0, pinned: 2, retained: 3 });
  expect(found.parts.find(({ kind }) => kind === 'pinned')!.name).toMatch(/^slack, /);
});

test.for([
  ['some', {}],
  ['sampled', {}],
  ['all', { residentBytes: -1 }],
] as const)('recorded as %s, with %o: no parts, and the reason', ([coverage, asked]) => {
  const found = inside('libmimalloc.so.2', recordedAs(coverage, asked));
  expect(found.parts).toEqual([]);
  expect(found.problems).toHaveLength(1);
});

test('jemalloc that sleeps: by the recorded blocks, or not at all', () => {
  expect(bytesOf(inside('libjemalloc.so.2', recordedAs('all')))).toMatchObject({ live: 3, slack: 0.5 });
  const found = inside('libjemalloc.so.2', { coverage: 'none', reason: 'it is off' });
  expect(found).toMatchObject({ parts: [], asked: 'it is off' });
  expect(found.problems[0]).toMatch(/could not be asked/);
});

const TOLD: ToldStatistics = {
  source: 'tcmalloc',
  values: new Map([
    ['generic.current_allocated_bytes', 5 * MEBIBYTE],
    ['tcmalloc.pageheap_free_bytes', MEBIBYTE],
    ['generic.heap_size', 9 * MEBIBYTE],
    ['tcmalloc.pageheap_unmapped_bytes', 3 * MEBIBYTE],
    ['generic.total_physical_bytes', 7.5 * MEBIBYTE],
  ]),
};

test('what tcmalloc has beyond its heap is metadata, as far as it is in memory', () => {
  expect(bytesOf(inside('libtcmalloc.so.4', recordedAs('some'), TOLD))).toMatchObject({ metadata: 1.5 });
  const large = new Map([...TOLD.values, ['generic.total_physical_bytes', 99 * MEBIBYTE] as const]);
  const found = inside('libtcmalloc.so.4', recordedAs('some'), { ...TOLD, values: large });
  expect(bytesOf(found)).toMatchObject({ metadata: 2 });
  // One that does not tell it yet.
  const older = new Map([...TOLD.values].filter(([name]) => name !== 'generic.total_physical_bytes'));
  expect(bytesOf(inside('libtcmalloc.so.4', recordedAs('some'), { ...TOLD, values: older }))).toMatchObject({
    metadata: 0,
  });
});

test('slack is taken out of what an allocator says is in use; what else it counts was not recorded', () => {
  const found = inside('libtcmalloc.so.4', recordedAs('some'), TOLD);
  expect(bytesOf(found)).toMatchObject({ live: 4.5, slack: 0.5, retained: 1 });
  expect(found.asked).toMatchObject({ coverage: 'some', unrecordedBytes: MEBIBYTE });
});

test('an estimate that may be far off is no part of the tree', () => {
  const rough = recordedAs('sampled', { slackBytesVariance: (0.3 * MEBIBYTE) ** 2 });
  expect(bytesOf(inside('libtcmalloc.so.4', rough, TOLD))).toMatchObject({ live: 5, slack: 0 });
  const fine = recordedAs('sampled', { slackBytesVariance: (0.2 * MEBIBYTE) ** 2 });
  const found = inside('libtcmalloc.so.4', fine, TOLD);
  expect(bytesOf(found)).toMatchObject({ live: 4.5, slack: 0.5 });
  expect(found.asked).toMatchObject({ slackErrorBytes: Math.round(0.2 * MEBIBYTE), unrecordedBytes: null });
});
