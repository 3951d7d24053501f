import { expect, test } from 'vitest';
import { NodeTimes } from './node-times.js';

test('a node was there at the first sample that counts it', () => {
  const times = new NodeTimes();
  expect(times.of(1)).toBe(Number.POSITIVE_INFINITY);
  times.note(10, 100);
  times.note(10, 200);
  times.note(20, 300);
  expect([1, 9, 10, 19, 20].map((node) => times.of(node))).toEqual([
    100,
    100,
    300,
    300,
    Number.POSITIVE_INFINITY,
  ]);
});

test('ever so many samples take bounded room; what is left is no earlier than the truth', () => {
  const times = new NodeTimes();
  for (let sample = 1; sample <= 20_000; sample++) times.note(sample * 10, sample);
  for (const node of [0, 5, 77_777, 199_000]) {
    const truth = Math.floor(node / 10) + 1;
    expect(times.of(node)).toBeGreaterThanOrEqual(truth);
    expect(times.of(node)).toBeLessThan(truth + 20);
  }
});
