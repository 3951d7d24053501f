import { expect, test } from 'vitest';
import { AccountHistoryLog } from './history.js';
import { type AccountKind, type AccountNode, emptyNode, sumOf } from './tree.js';

function leaf(kind: AccountKind, name: string, residentBytes: number): AccountNode {
  return { ...emptyNode(kind, name), residentBytes };
}

function tree(live: number, retained: number, owners: Record<string, number> = {}): AccountNode {
  const libc = sumOf('allocator', 'libc.so.6', [
    leaf('live', 'blocks', live),
    leaf('retained', 'free', retained),
  ]);
  const anonymous = Object.entries(owners).map(([name, bytes]) => leaf('owner', name, bytes));
  return sumOf('process', 'process', [
    sumOf('allocators', 'allocators', [libc]),
    sumOf('anonymous', 'anonymous memory', anonymous),
    sumOf('files', 'files', [leaf('file', '/lib/x', 5)]),
  ]);
}

const find = (log: AccountHistoryLog, branch: AccountKind, owner: string | null, part: AccountKind | null) =>
  log.history().series.find((each) => each.branch === branch && each.owner === owner && each.part === part)
    ?.bytes;

test('branches, owners and what is inside an allocator, moment by moment', () => {
  const log = new AccountHistoryLog();
  log.add(1000, tree(10, 1));
  log.add(2000, tree(20, 2, { 'libucs.so.0': 7 }));
  log.add(3000, tree(30, 3));
  expect(log.history().timesMs).toEqual([1000, 2000, 3000]);
  expect(find(log, 'allocators', null, null)).toEqual([11, 22, 33]);
  expect(find(log, 'allocators', 'libc.so.6', 'live')).toEqual([10, 20, 30]);
  expect(find(log, 'allocators', 'libc.so.6', 'retained')).toEqual([1, 2, 3]);
  expect(find(log, 'anonymous', 'libucs.so.0', null)).toEqual([0, 7, 0]);
  // Files count as a whole.
  expect(find(log, 'files', null, null)).toEqual([5, 5, 5]);
  expect(find(log, 'files', '/lib/x', null)).toBeUndefined();
});

test('many moments are thinned out evenly, from the first to the last', () => {
  const log = new AccountHistoryLog();
  let moments = 0;
  for (let timeMs = 0; timeMs <= 1e7; timeMs += 1000) {
    if (timeMs < log.dueMs) continue;
    log.add(timeMs, tree(timeMs, 0));
    moments++;
  }
  const { timesMs, series } = log.history();
  expect(moments).toBeGreaterThan(timesMs.length);
  expect(timesMs.length).toBeGreaterThan(150);
  expect(timesMs.length).toBeLessThanOrEqual(360);
  expect(timesMs[0]).toBe(0);
  expect(timesMs.at(-1)).toBeGreaterThan(0.98e7);
  const gaps = timesMs.slice(1).map((timeMs, index) => timeMs - timesMs[index]!);
  expect(Math.max(...gaps)).toBeLessThanOrEqual(2 * Math.min(...gaps));
  for (const { bytes } of series) expect(bytes).toHaveLength(timesMs.length);
  expect(find(log, 'allocators', 'libc.so.6', 'live')).toEqual(timesMs);
});

test('owners without end are counted together, and none of their bytes is lost', () => {
  const log = new AccountHistoryLog();
  for (let round = 0; round < 10; round++) {
    log.add(
      round,
      tree(1, 1, Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`owner ${round * 50 + i}`, 3]))),
    );
  }
  const { series } = log.history();
  expect(series.length).toBeLessThan(200);
  for (let moment = 0; moment < 10; moment++) {
    const owned = series.filter(({ branch, owner }) => branch === 'anonymous' && owner !== null);
    expect(owned.reduce((sum, { bytes }) => sum + bytes[moment]!, 0)).toBe(150);
  }
});
