import { expect, test } from 'vitest';
import type { HeapAttribution } from '../ledger/heap-attribution.js';
import { ageBins, leakRows, sizeBins, threadRows } from './heap-rows.js';

const floats = (...values: number[]) => Float64Array.from(values);
const whole: HeapAttribution = { owner: 'app', path: '/bin/app', kind: 'program', caller: 'libstdc++.so.6' };

test('leaks: what was never freed before what is merely larger', () => {
  const rows = leakRows(
    {
      stack: Uint32Array.of(7, 8, 9),
      liveBytes: floats(5000, 64, 640),
      liveAllocations: floats(50, 1, 10),
      frees: floats(3, 0, 0),
    },
    () => whole,
  );
  expect(
    rows.map(({ stack, neverFreed, freed, liveBytes }) => [stack, neverFreed, freed, liveBytes]),
  ).toEqual([
    [9, true, 0, 640],
    [8, true, 0, 64],
    [7, false, 3, 5000],
  ]);
  expect(rows[0]).toMatchObject({ owner: 'app', kind: 'program', caller: 'libstdc++.so.6' });
});

test('leaks: an estimate of freed blocks that rounds to none is not none', () => {
  const survivors = { stack: Uint32Array.of(7), liveBytes: floats(64), liveAllocations: floats(1) };
  const [row] = leakRows({ ...survivors, frees: floats(0.3) }, () => whole);
  expect(row).toMatchObject({ freed: 0, neverFreed: false });
});

test('threads, most live bytes first', () => {
  const rows = threadRows({
    threadId: Uint32Array.of(10, 11),
    liveBytes: floats(1, 2),
    liveAllocations: floats(1, 1),
    allocations: floats(9, 5),
    frees: floats(8, 4),
    temporary: floats(7, 3),
  });
  expect(rows).toEqual([
    { threadId: 11, liveBytes: 2, liveAllocations: 1, allocations: 5, frees: 4, temporary: 3 },
    { threadId: 10, liveBytes: 1, liveAllocations: 1, allocations: 9, frees: 8, temporary: 7 },
  ]);
});

test('each bin ends where the next begins', () => {
  const histogram = {
    from: floats(0, 16, 64),
    liveBytes: floats(8, 32, 128),
    liveAllocations: floats(1, 2, 1),
  };
  expect(sizeBins(histogram)).toEqual([
    { fromBytes: 0, belowBytes: 16, liveBytes: 8, liveAllocations: 1 },
    { fromBytes: 16, belowBytes: 64, liveBytes: 32, liveAllocations: 2 },
    { fromBytes: 64, belowBytes: null, liveBytes: 128, liveAllocations: 1 },
  ]);
  expect(ageBins(histogram).at(-1)).toEqual({
    fromSeconds: 64,
    belowSeconds: null,
    liveBytes: 128,
    liveAllocations: 1,
  });
});
