import { expect, test } from 'vitest';
import { diffSnapshots } from './diff.js';
import { diffTable } from './diff-table.js';
import { sampleSnapshot } from './sample.js';

const later = () => ({ ...sampleSnapshot(381), takenAt: '2026-01-21T10:02:01.200Z' });

test('owners that changed, most growth first; the unchanged are left out', () => {
  const diff = diffSnapshots(sampleSnapshot(281), later());
  expect(diff).toEqual({
    seconds: 60,
    owners: [
      { owner: 'libucs.so.0', kind: 'library', bytes: 15_155_200, residentBytes: 15_155_200, mappings: 100 },
    ],
    heap: { bytes: 0, allocations: 0, standardErrorBytes: 0, grown: [] },
  });
  expect(diffTable(diff, 80)).toBe(
    [
      'change over 1 min 00 s',
      'OWNER        KIND        BYTES  RESIDENT  MAPPINGS',
      'libucs.so.0  library  +15.2 MB  +15.2 MB      +100',
    ].join('\n'),
  );
});

test('an owner that is gone counts as shrunk, a new one as grown', () => {
  const before = sampleSnapshot(2);
  const after = later();
  after.owners = [{ ...before.owners[1]!, owner: 'jemalloc' }];
  const changes = diffSnapshots(before, after).owners.map(({ owner, bytes }) => [owner, bytes]);
  expect(changes).toEqual([
    ['jemalloc', 4_194_304],
    ['[stack]', -135_168],
    ['libucs.so.0', -303_104],
    ['libc.so.6', -4_194_304],
  ]);
});

test('nothing changed says so', () => {
  expect(diffTable(diffSnapshots(sampleSnapshot(), sampleSnapshot()), 80)).toBe('change over 0 s: none');
});
