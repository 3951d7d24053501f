import { describe, expect, test } from 'vitest';
import fc from '../../test/support/properties.js';
import { NO_HOLE, RangeIndex } from './range-index.js';
import { ROW, RowBuffer } from './row-buffer.js';

interface Range {
  start: number;
  end: number;
  base: number;
  origin: number;
  protection: number;
}

function rowsOf(buffer: RowBuffer): Range[] {
  const ranges: Range[] = [];
  for (let at = 0; at < buffer.length; at += ROW) {
    const [start, end, base, origin, protection] = buffer.values.subarray(at, at + ROW);
    ranges.push({ start: start!, end: end!, base: base!, origin: origin!, protection: protection! });
  }
  return ranges;
}

function all(index: RangeIndex): Range[] {
  const rows = new RowBuffer();
  index.collect(0, Number.POSITIVE_INFINITY, rows);
  return rowsOf(rows);
}

/** The same operations on a plain sorted array. */
class Naive {
  ranges: Range[] = [];

  cut(start: number, end: number): Range[] {
    const taken: Range[] = [];
    this.ranges = this.ranges.flatMap((range) => {
      if (range.end <= start || range.start >= end) return [range];
      taken.push({ ...range, start: Math.max(start, range.start), end: Math.min(end, range.end) });
      const rest: Range[] = [];
      if (range.start < start) rest.push({ ...range, end: start });
      if (range.end > end) rest.push({ ...range, start: end });
      return rest;
    });
    return taken;
  }

  put(range: Range): boolean {
    if (this.ranges.some((other) => other.start < range.end && range.start < other.end)) return false;
    this.ranges.push({ ...range });
    this.ranges.sort((a, b) => a.start - b.start);
    this.ranges = this.ranges.reduce<Range[]>((joined, next) => {
      const last = joined.at(-1);
      const same = (['base', 'origin', 'protection'] as const).every(
        (field) => last?.[field] === next[field],
      );
      if (last !== undefined && last.end === next.start && same) last.end = next.end;
      else joined.push({ ...next });
      return joined;
    }, []);
    return true;
  }
}

const SPACE = 600;
const operation = fc.record({
  kind: fc.nat(9),
  start: fc.nat(SPACE),
  length: fc.oneof(
    { weight: 30, arbitrary: fc.integer({ min: 1, max: 6 }) },
    fc.integer({ min: 1, max: 200 }),
  ),
  origin: fc.nat(1),
});

test('any history of puts and cuts over many blocks leaves what a sorted array has', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.array(operation, { minLength: 1, maxLength: 400, size: 'max' }),
      (spacing, operations) => {
        const index = new RangeIndex();
        const naive = new Naive();
        // Enough to fill many blocks; with spacing 1 the ranges touch, and differ in origin so as not to join.
        for (let start = 0, id = 10; start + 1 < SPACE; start += spacing, id++) {
          const range = { start, end: start + 1, base: 0, origin: id, protection: 3 };
          index.put(range.start, range.end, range.base, range.origin, range.protection);
          naive.ranges.push(range);
        }
        for (const { kind, start, length, origin } of operations) {
          const end = start + length;
          if (kind < 4) {
            const taken = new RowBuffer();
            const before = index.count;
            const remains = index.cut(start, end, taken);
            expect(rowsOf(taken)).toEqual(naive.cut(start, end));
            const edges = (remains & 1) + (remains >> 1);
            if (taken.length > 0) expect(index.count).toBe(before - taken.length / ROW + edges);
          } else {
            const before = index.count;
            const rise = index.put(start, end, 0, origin, 3);
            expect(rise !== NO_HOLE).toBe(naive.put({ start, end, base: 0, origin, protection: 3 }));
            expect(index.count).toBe(rise === NO_HOLE ? before : before + rise);
          }
        }
        expect(all(index)).toEqual(naive.ranges);
        expect(index.count).toBe(naive.ranges.length);
        expect(all(index.clone())).toEqual(naive.ranges);
        for (const probe of operations) {
          const found = new RowBuffer();
          index.collect(probe.start, probe.start + 1, found);
          expect(rowsOf(found)).toEqual(
            naive.ranges.filter(({ start, end }) => start <= probe.start && probe.start < end),
          );
        }
      },
    ),
    { numRuns: 400 },
  );
});

test('survivors of a sweep share blocks', () => {
  const index = new RangeIndex();
  for (let start = 0; start < 64_000; start++) index.put(start, start + 1, 0, start, 3);
  const full = index.blockCount;
  const gone = new RowBuffer();
  for (let start = 0; start < 64_000; start++) if (start % 64 !== 0) index.cut(start, start + 1, gone);
  expect(index.count).toBe(1000);
  expect(index.blockCount).toBeLessThan(full / 8);
});

describe('at the seam of two blocks', () => {
  /** Ranges of `length` every 10 from 0, each of its own origin; the 65th splits the block before the 33rd, at 320. */
  function filled(ranges: number, length: number): RangeIndex {
    const index = new RangeIndex();
    for (let id = 0; id < ranges; id++) index.put(id * 10, id * 10 + length, 0, id, 3);
    return index;
  }

  function around(index: RangeIndex): number[][] {
    const rows = new RowBuffer();
    index.collect(310, 330, rows);
    return rowsOf(rows).map(({ start, end, origin }) => [start, end, origin]);
  }

  test('a range joins the one before when the one behind was trimmed', () => {
    const index = filled(65, 10);
    index.cut(320, 325, new RowBuffer());
    expect(index.put(320, 325, 0, 31, 3)).toBe(0);
    expect(around(index)).toEqual([
      [310, 325, 31],
      [325, 330, 32],
    ]);
  });

  test('a hole stays one when the range behind has grown downward', () => {
    const index = filled(65, 4);
    expect(index.put(315, 320, 0, 32, 3)).toBe(0);
    index.cut(316, 320, new RowBuffer());
    expect(index.put(317, 318, 0, 99, 3)).toBe(1);
    expect(around(index)).toEqual([
      [310, 314, 31],
      [315, 316, 32],
      [317, 318, 99],
      [320, 324, 32],
    ]);
  });

  test('a range that splits the block there goes to the left', () => {
    const index = filled(64, 4);
    index.put(315, 316, 0, 98, 3);
    expect(index.put(317, 318, 0, 99, 3)).toBe(1);
    expect(around(index).map(([start]) => start)).toEqual([310, 315, 317, 320]);
  });
});
