import { expect, test } from 'vitest';
import { sampleHeapSnapshot } from '../report/heap/sample.js';
import { heapView } from './heap-view.js';

const retired = heapView({
  pid: 4242,
  ended: true,
  heapRecording: undefined,
  lastSnapshot: sampleHeapSnapshot(),
});
const unrecorded = heapView({ pid: 1, ended: false, heapRecording: undefined, lastSnapshot: undefined });

test('of a process whose recording is closed, what was known last', () => {
  expect([retired.mode, retired.sampleBytes]).toEqual(['exact', 524_288]);
  expect(retired.bySite(1)).toMatchObject([
    { owner: 'libcache.so.1', frames: expect.arrayContaining(['cache_insert (libcache.so.1)']) },
  ]);
  expect(retired.byOwner().map(({ owner }) => owner)).toEqual(['libcache.so.1', 'python3.11', 'no stack']);
  expect(retired.totals()).toMatchObject({ liveAllocations: 20_051 });
  expect(retired.totals()).not.toHaveProperty('sites');
  expect([retired.byThread(), retired.bySize(), retired.byAge()]).toEqual([[], [], []]);
});

test('what can’t be done is refused by name', () => {
  const code = (code: string) => expect.objectContaining({ code });
  expect(() => {
    retired.mode = 'off';
  }).toThrow(code('PROCESS_ENDED'));
  expect(() => {
    unrecorded.mode = 'off';
  }).toThrow(code('HEAP_UNAVAILABLE'));
  expect(() => unrecorded.mark()).toThrow(code('HEAP_UNAVAILABLE'));
  expect(() => unrecorded.leaks()).toThrow(code('HEAP_UNAVAILABLE'));
});

test('where nothing is recorded there is nothing', () => {
  expect(unrecorded.mode).toBe('off');
  expect(unrecorded.bySite()).toEqual([]);
});
