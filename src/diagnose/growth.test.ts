import { describe, expect, test } from 'vitest';
import fc from '../../test/support/properties.js';
import { GrowthTracker } from './growth.js';

const MB = 1e6;

function fed(values: readonly number[], stepMs = 1000): GrowthTracker {
  const tracker = new GrowthTracker();
  values.forEach((value, index) => {
    tracker.add(index * stepMs, new Map([['lib', value]]));
  });
  return tracker;
}

describe('bytesPerMinute', () => {
  test('is 0 for two samples and right from the third on', () => {
    expect(fed([0, MB]).bytesPerMinute('lib')).toBe(0);
    expect(fed([0, MB, 2 * MB]).bytesPerMinute('lib')).toBeCloseTo(60 * MB);
  });

  test('is exact for steady growth of any rate and offset', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -1000, max: 1000 }),
        fc.nat(1e9),
        fc.integer({ min: 3, max: 200 }),
        (rate, offset, n) => {
          const values = Array.from({ length: n }, (_, index) => 1e6 + offset + rate * index);
          expect(fed(values).bytesPerMinute('lib')).toBeCloseTo(rate * 60, 3);
        },
      ),
    );
  });

  test('is not moved by a burst that goes away again', () => {
    const values = Array.from({ length: 60 }, (_, index) => 1000 * index);
    for (let burst = 20; burst < 28; burst++) values[burst]! += 500 * MB;
    expect(fed(values).bytesPerMinute('lib')).toBeCloseTo(60_000, -4);
  });

  test('reads a staircase as its mean', () => {
    const values = Array.from({ length: 60 }, (_, index) => 151_552 * Math.floor(index / 3));
    const mean = (151_552 / 3) * 60;
    expect(Math.abs(fed(values).bytesPerMinute('lib') - mean) / mean).toBeLessThan(0.05);
  });

  test('forgets what is older than the window', () => {
    const values = [
      ...Array.from({ length: 60 }, (_, index) => MB * index),
      ...new Array<number>(60).fill(59 * MB),
    ];
    expect(fed(values).bytesPerMinute('lib')).toBe(0);
  });

  test('keeps three samples of a slow sampler', () => {
    expect(fed([0, MB, 2 * MB, 3 * MB], 10 * 60_000).bytesPerMinute('lib')).toBeCloseTo(MB / 10);
  });

  test('counts an owner that appears as 0 before and one that vanishes as 0 after', () => {
    const tracker = new GrowthTracker();
    const none = new Map<string, number>();
    tracker.add(0, none);
    tracker.add(1000, none);
    tracker.add(2000, new Map([['new', 3 * MB]]));
    expect(tracker.history('new', 10)).toEqual([0, 0, 3 * MB]);
    expect(tracker.bytesPerMinute('new')).toBeCloseTo(1.5 * 60 * MB);
    tracker.add(3000, none);
    expect(tracker.history('new', 2)).toEqual([3 * MB, 0]);
    expect(tracker.bytesPerMinute('unknown')).toBe(0);
  });
});

describe('samples', () => {
  test('are thinned when they come faster than the window holds, the newest always standing', () => {
    const tracker = new GrowthTracker({ windowMs: 60_000, samples: 60 });
    for (let at = 0; at <= 120_000; at += 50) tracker.add(at, new Map([['lib', at]]));
    const history = tracker.history('lib', 1000);
    expect(history.length).toBeLessThanOrEqual(60);
    expect(history.at(-1)).toBe(120_000);
    expect(history[0]).toBeGreaterThanOrEqual(60_000);
    expect(history[0]).toBeLessThan(65_000);
    expect(tracker.bytesPerMinute('lib')).toBeCloseTo(60_000);
  });

  test('of a key that is long gone are dropped', () => {
    const tracker = new GrowthTracker({ windowMs: 5000, samples: 5 });
    tracker.add(0, new Map([['lib', 1]]));
    for (let at = 1000; at < 10_000; at += 1000) tracker.add(at, new Map());
    expect(tracker.history('lib', 3)).toEqual([0, 0, 0]);
  });

  test('of the same moment replace one another', () => {
    const tracker = fed([1, 2, 3]);
    tracker.add(2000, new Map([['lib', 5]]));
    expect(tracker.history('lib', 9)).toEqual([1, 2, 5]);
  });
});
