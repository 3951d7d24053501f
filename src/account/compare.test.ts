import { expect, test } from 'vitest';
import fc from '../../test/support/properties.js';
import { compareRanges, kernelRanges } from './compare.js';
import { parseMaps, type Range } from './maps.js';

const range = (start: number, end: number): Range => ({ start, end });

test('merged and split ranges are the same', () => {
  expect(compareRanges([range(0, 4), range(4, 8)], [range(0, 8)])).toEqual({
    explainedBytes: 8,
    missingInLedger: [],
    missingInKernel: [],
  });
});

test('each side names exactly what the other lacks', () => {
  expect(compareRanges([range(0, 10), range(20, 30)], [range(5, 22), range(25, 26), range(40, 50)])).toEqual({
    explainedBytes: 5 + 2 + 1,
    missingInLedger: [range(10, 20), range(40, 50)],
    missingInKernel: [range(0, 5), range(22, 25), range(26, 30)],
  });
});

test('agrees with a count byte by byte', () => {
  const bytes = fc.array(fc.boolean(), { maxLength: 40 });
  fc.assert(
    fc.property(bytes, bytes, (ledger, kernel) => {
      const length = Math.max(ledger.length, kernel.length);
      const where = (has: (i: number) => boolean) => Array.from({ length }, (_, i) => i).filter(has);
      const result = compareRanges(toRanges(ledger), toRanges(kernel));
      expect(result.explainedBytes).toBe(where((i) => !!ledger[i] && !!kernel[i]).length);
      expect(toBytes(result.missingInLedger)).toEqual(where((i) => !ledger[i] && !!kernel[i]));
      expect(toBytes(result.missingInKernel)).toEqual(where((i) => !!ledger[i] && !kernel[i]));
    }),
  );
});

/** Ranges of one byte each or longer, split at even places: neighbours must not matter. */
function toRanges(present: boolean[]): Range[] {
  const ranges: Range[] = [];
  present.forEach((has, at) => {
    const last = ranges.at(-1);
    if (has && last?.end === at && at % 4 !== 0) last.end++;
    else if (has) ranges.push(range(at, at + 1));
  });
  return ranges;
}

function toBytes(ranges: Range[]): number[] {
  return ranges.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, i) => start + i));
}

test('files and what the kernel maps itself are not the ledger’s', () => {
  const maps = parseMaps(
    [
      '1000-2000 r-xp 00000000 fd:01 77 /bin/true',
      '2000-3000 rw-p 00000000 00:00 0 ',
      '3000-4000 rw-s 00000000 00:01 1034 /dev/zero (deleted)',
      '4000-5000 rw-s 00000000 00:01 5 /SYSV00000000 (deleted)',
      '5000-6000 rw-s 00000000 00:01 6 /memfd:queue (deleted)',
      '6000-7000 r--p 00000000 00:00 0                          [vvar]',
      '7000-8000 rw-p 00000000 00:00 0                          [stack]',
      '',
    ].join('\n'),
  );
  expect(kernelRanges(maps).map(({ start }) => start)).toEqual([0x2000, 0x3000, 0x4000, 0x7000]);
});
