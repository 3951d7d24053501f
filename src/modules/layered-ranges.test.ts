import { describe, expect, it } from 'vitest';
import fc from '../../test/support/properties.js';
import { LayeredRanges } from './layered-ranges.js';

const SPACE = 24;
const operation = fc.record({
  kind: fc.constantFrom('put', 'put', 'retire'),
  start: fc.nat(SPACE - 1),
  length: fc.integer({ min: 1, max: 8 }),
  value: fc.constantFrom('a', 'b', 'c'),
  step: fc.nat(2),
});

describe('LayeredRanges', () => {
  it('answers as a plain list of all that was ever put at each address', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 30 }), (operations) => {
        const ranges = new LayeredRanges<string>();
        const naive = Array.from(
          { length: SPACE + 8 },
          () => [] as { value: string; from: number; until: number }[],
        );
        let generation = 0;
        for (const { kind, start, length, value, step } of operations) {
          generation += step;
          for (let address = start; address < start + length; address++) {
            const list = naive[address]!;
            const top = list.at(-1);
            const isCurrent = top?.until === Number.POSITIVE_INFINITY;
            if (kind === 'put' && top?.value === value) top.until = Number.POSITIVE_INFINITY;
            else {
              if (isCurrent) top.until = generation;
              if (kind === 'put') list.push({ value, from: generation, until: Number.POSITIVE_INFINITY });
            }
          }
          if (kind === 'put') ranges.put(start, start + length, value, generation);
          else ranges.retire(start, start + length, generation);
        }
        for (let address = 0; address < naive.length; address++) {
          for (let asked = 0; asked <= generation + 1; asked++) {
            const expected = naive[address]!.findLast(({ from, until }) => from <= asked && asked <= until);
            expect(ranges.find(address, asked)).toBe(expected?.value ?? null);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it('forgets the oldest of what went away, says how many, and keeps what is there', () => {
    const ranges = new LayeredRanges<number>(8);
    ranges.put(0, 10, -1, 0);
    for (let i = 0; i < 20; i++) {
      ranges.put(100, 200, i, i);
      ranges.retire(100, 200, i);
    }
    expect(ranges.find(5, 20)).toBe(-1);
    expect(ranges.find(150, 19)).toBe(19);
    expect(ranges.find(150, 0)).toBeNull();
    expect(ranges.forgotten).toBeGreaterThanOrEqual(12 - 4);
  });

  it('does not count a value that comes and goes at one place as many', () => {
    const ranges = new LayeredRanges<string>(8);
    ranges.put(0, 10, 'other', 0);
    ranges.retire(0, 10, 0);
    for (let i = 1; i < 100; i++) {
      ranges.put(100, 200, 'plugin', i);
      ranges.retire(100, 200, i);
    }
    expect(ranges.forgotten).toBe(0);
    expect(ranges.find(5, 0)).toBe('other');
    expect(ranges.find(150, 50)).toBe('plugin');
  });

  it('ignores senseless ranges', () => {
    const ranges = new LayeredRanges<string>();
    ranges.put(10, 10, 'empty', 0);
    ranges.put(20, 5, 'reversed', 0);
    ranges.put(Number.NaN, 5, 'nothing', 0);
    expect([...ranges.current()]).toEqual([]);
  });
});
