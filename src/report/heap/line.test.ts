import { expect, test } from 'vitest';
import { heapLine } from './line.js';
import { sampleHeapSnapshot } from './sample.js';
import { NO_HEAP } from './sites.js';

test('what is recorded, what lives, and whose it is', () => {
  expect(heapLine(sampleHeapSnapshot().heap)).toBe(
    'heap (exact) 2.20 MB live in 20,051 allocations · 100,255 made, 60.0 % temporary · libcache.so.1 2.00 MB',
  );
});

test('an estimate stands with its standard error, a rate for the number', () => {
  expect(heapLine(sampleHeapSnapshot(20_000, true).heap, 1234.5)).toMatch(
    /^heap \(sampled\) 2\.20 MB ± 17\.3 kB live .* · 1,235\/s, 60\.0 % temporary/,
  );
});

test('what is not followed is said', () => {
  const before = { bytes: 5_000_000, allocations: 10 };
  expect(heapLine({ ...NO_HEAP, before })).toContain('heap (off) 0 B live');
  expect(heapLine({ ...NO_HEAP, before })).toContain('5.00 MB from before a switch, not followed');
});

test('no line where nothing was recorded', () => {
  expect(heapLine(NO_HEAP)).toBeUndefined();
});
