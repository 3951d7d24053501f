import { expect, test } from 'vitest';
import { growingOwners, growthLine, largestHolder, notableOwners, topSites } from './culprit.js';
import { overviewOf } from './overview.js';
import { sampleSnapshot } from './sample.js';
import type { Snapshot } from './schema.js';

/** The sample with a malloc arena of a gigabyte, nearly all of it set aside. */
function withArena(): Snapshot {
  const snapshot = sampleSnapshot();
  const [, libc] = snapshot.owners;
  const like = snapshot.mappings.find(({ owner }) => owner === 'libc.so.6');
  snapshot.mappings.push({ ...like!, start: '0x1000', bytes: 2 ** 30, residentBytes: 0, reserved: true });
  Object.assign(libc!, { bytes: libc!.bytes + 2 ** 30, reservedBytes: 2 ** 30, mappings: 2 });
  return snapshot;
}

test('who grows, how fast, inside what', () => {
  const overview = overviewOf(sampleSnapshot());
  expect(growthLine(overview)).toBe(
    'libucs.so.0 grows by 419.4 MB/min (100.0 % of all growth), mapped inside munmap',
  );
  overview.observedSeconds = 3;
  expect(growthLine(overview)).toMatch(/; observed too briefly to be sure$/);
});

test('an owner that shrinks hides no growth, and noise beside a leak is no growth', () => {
  const overview = overviewOf(sampleSnapshot());
  overview.owners[1]!.growthBytesPerMinute = -419_430_400;
  overview.owners[2]!.growthBytesPerMinute = 4096;
  expect(growingOwners(overview).map(({ owner }) => owner)).toEqual(['libucs.so.0']);
  expect(growthLine(overview)).toContain('99.9 % of all growth');
});

test('the stacks are those of the owners that grow, however much others hold or have set aside', () => {
  const snapshot = withArena();
  expect(topSites(overviewOf(snapshot), 3).map(({ owner }) => owner)).toEqual(['libucs.so.0']);
  const [leak, libc] = snapshot.owners;
  Object.assign(leak!, { growthBytesPerMinute: 0 });
  Object.assign(libc!, { growthBytesPerMinute: 1e6 });
  expect(topSites(overviewOf(snapshot), 3).map(({ owner }) => owner)).toEqual(['libc.so.6']);
});

test('where no owner grows, the stacks that hold most; never one without frames', () => {
  const snapshot = withArena();
  for (const owner of snapshot.owners) owner.growthBytesPerMinute = 0;
  const overview = overviewOf(snapshot);
  expect(growthLine(overview)).toBe('no owner grows');
  expect(topSites(overview, 3).map(({ owner }) => owner)).toEqual(['libucs.so.0', 'libc.so.6']);
  overview.observedSeconds = 1;
  expect(growthLine(overview)).toBe('observed too briefly to tell who grows');
});

test('owners that neither hold nor grow have no line; what is unexplained always has one', () => {
  const overview = overviewOf(sampleSnapshot());
  const names = () => notableOwners(overview).map(({ owner }) => owner);
  overview.owners[2]!.residentBytes = 1000;
  expect(names()).toEqual(['libucs.so.0', 'libc.so.6']);
  overview.owners[2]!.kind = 'unexplained';
  expect(names()).toContain('[stack]');
});

test('the largest holder is judged by what can hold data, the profiler aside', () => {
  const snapshot = withArena();
  expect(largestHolder(overviewOf(snapshot))).toBe('libucs.so.0');
  snapshot.owners[0]!.kind = 'profiler';
  expect(largestHolder(overviewOf(snapshot))).toBe('libc.so.6');
});
