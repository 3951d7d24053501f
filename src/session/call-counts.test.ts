import { expect, test } from 'vitest';
import { CallCounts } from './call-counts.js';
import { syntheticEvent } from './synthetic-event.js';

const ARGS: [number, number, number, number, number, number] = [4096, 4096, 3, 0x22, -1, 0];

test('calls count once, at their first event; seeds, failures and what the shim had mapped before do not', () => {
  const counts = new CallCounts();
  const own = { ...syntheticEvent('mmap', ARGS), result: 4096, byProfiler: true };
  counts.note(syntheticEvent('seed', ARGS));
  counts.note(own);
  expect(counts.of('mmap')).toBe(0);
  counts.note({ ...syntheticEvent('munmap', ARGS), phase: 'begin' });
  counts.note({ ...syntheticEvent('munmap', ARGS), phase: 'failed' });
  counts.note({ ...syntheticEvent('mremap', ARGS), phase: 'begin' });
  counts.note({ ...syntheticEvent('mremap', ARGS), phase: 'end' });
  counts.note({ ...syntheticEvent('mmap', ARGS), result: -12 });
  counts.note({ ...syntheticEvent('mmap', ARGS), result: 4096 });
  // Later memory of the shim's own is a call as any other.
  counts.note(own);
  expect((['mmap', 'munmap', 'mremap', 'brk'] as const).map((name) => counts.of(name))).toEqual([2, 1, 1, 0]);
});
