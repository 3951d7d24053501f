import { expect, test } from 'vitest';
import { type ClockSample, clock } from './addon.js';
import { EventClock } from './clock.js';

const halves = (ticks: bigint) => [Number(ticks & 0xffff_ffffn), Number(ticks >> 32n)] as const;

test('ticks become nanoseconds by the rate seen since the start, ever more exactly', () => {
  const start = 0x7_ffff_fff0n;
  let now: ClockSample = { monotonicNs: 1_000_100, tsc: start + 310n, unixNs: 0n };
  const events = new EventClock({ clock: 'tsc', startClock: start, startMonotonicNs: 1_000_000 }, () => now);
  expect(events.sinceStartNs(...halves(start + 3100n))).toBe(1000);
  now = { monotonicNs: 2_000_000, tsc: start + 3_000_000n, unixNs: 0n };
  events.calibrate();
  expect(events.sinceStartNs(...halves(start + 3000n))).toBe(1000);
  expect(events.sinceStartNs(...halves(start + 30_000_000_000_000n))).toBe(10_000_000_000_000);
  expect(events.sinceStartNs(...halves(start - 1n))).toBe(0);
});

test('nanoseconds stay what they are', () => {
  const events = new EventClock({ clock: 'monotonic', startClock: 5_000_000_000n, startMonotonicNs: 5e9 });
  expect(events.sinceStartNs(...halves(5_000_000_123n))).toBe(123);
});

test('the real clocks advance together', async () => {
  const before = clock();
  const events = new EventClock({
    clock: 'tsc',
    startClock: before.tsc,
    startMonotonicNs: before.monotonicNs,
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  const after = clock();
  events.calibrate();
  const elapsedNs = after.monotonicNs - before.monotonicNs;
  expect(events.sinceStartNs(...halves(after.tsc)) / elapsedNs).toBeCloseTo(1, 2);
  expect(Number(after.unixNs - before.unixNs) / elapsedNs).toBeCloseTo(1, 1);
});
