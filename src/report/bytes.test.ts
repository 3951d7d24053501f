import { expect, test } from 'vitest';
import { formatBytes, formatCount, formatPercent, formatRate, formatSeconds } from './bytes.js';

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.00 kB'],
  [151_552, '151.6 kB'],
  [999_950, '1.00 MB'],
  [57_741_312, '57.7 MB'],
  [9_996_000, '10.0 MB'],
  [-1_200_000_000, '-1.20 GB'],
  [Number.NaN, '?'],
])('%d bytes read as %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test('rates carry their sign and unit', () => {
  expect(formatRate(400e6)).toBe('+400.0 MB/min');
  expect(formatRate(-2048)).toBe('-2.05 kB/min');
  expect(formatRate(0.2)).toBe('0');
});

test('a percentage never rounds a gap away', () => {
  expect(formatPercent(99.999)).toBe('99.9 %');
  expect(formatPercent(100)).toBe('100.0 %');
  expect(formatPercent(0.01)).toBe('<0.1 %');
  expect(formatPercent(0)).toBe('0.0 %');
});

test('times and counts', () => {
  expect(formatSeconds(61.6)).toBe('1 min 02 s');
  expect(formatSeconds(11_100)).toBe('3 h 05 min');
  expect(formatCount(1, 'mapping')).toBe('1 mapping');
  expect(formatCount(1234, 'mapping')).toBe('1,234 mappings');
});
