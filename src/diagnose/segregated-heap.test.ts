import { describe, expect, test } from 'vitest';
import { type AllocatedByStack, segregatedResidentBytes, sizeClass } from './segregated-heap.js';

function stack(bytes: number, live: number, most: number): AllocatedByStack {
  return {
    liveBytes: live * bytes,
    liveAllocations: live,
    peakBytes: most * bytes,
    allocations: most,
    allocatedBytes: most * bytes,
  };
}

test.for([
  [1, 8],
  [9, 16],
  [48, 48],
  [100, 112],
  [128, 128],
  [129, 160],
  [1000, 1024],
  [1025, 1280],
  [14_336, 14_336],
  [14_337, 16_384],
  [100_000, 114_688],
])('%i bytes take %i', ([bytes, taken]) => {
  expect(sizeClass(bytes!)).toBe(taken);
});

const bare = segregatedResidentBytes([]);
const held = (...stacks: AllocatedByStack[]) => segregatedResidentBytes(stacks) - bare;

describe('survivors', () => {
  test('of another size than what was freed need no more than themselves', () => {
    expect(held(stack(48, 10_000, 10_000), stack(1000, 0, 100_000))).toBeCloseTo(40 * 12_288 * 1.02, -2);
  });

  test('of the same size keep the pages of the freed ones', () => {
    const all = held(stack(1000, 100_000, 100_000));
    // Four blocks a page, of which each is there with a chance of 1 to 10.
    expect(held(stack(1000, 10_000, 100_000)) / all).toBeCloseTo(1 - 0.9 ** 4, 2);
  });

  test('that are all there need all', () => {
    expect(held(stack(1000, 100_000, 100_000))).toBeCloseTo(102_400_000 * 1.02, -4);
  });

  test('that are large need nothing but their own pages', () => {
    expect(held(stack(100_000, 10, 1000))).toBeCloseTo(10 * 114_688 * 1.02, -2);
  });
});
