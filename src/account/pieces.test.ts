import { expect, test } from 'vitest';
import fc from '../../test/support/properties.js';
import type { Claims } from './claims.js';
import { type ProcMapping, parseMaps } from './maps.js';
import { cutAtClaims } from './pieces.js';

/** Ranges [from, to) by address, apart from one another, some of them touching. */
const ranges = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 1, max: 5 })), { maxLength: 12 })
  .map((steps) => {
    let at = 0;
    return steps.map(([gap, length]) => {
      const start = at + gap;
      at = start + length;
      return { start, end: at };
    });
  });

type Ranges = { start: number; end: number }[];

function areasOf(list: Ranges): ProcMapping[] {
  const line = '0-1 rw-p 00000000 00:00 0\n';
  return list.map((range) => ({ ...parseMaps(line)[0]!, ...range }));
}

function claimsOf(list: Ranges): Claims {
  return {
    bounds: Float64Array.from(list.flatMap(({ start, end }) => [start, end])),
    holderOf: new Uint32Array(list.length),
    reserved: new Uint8Array(list.length),
    originOf: new Float64Array(list.length),
    mappedAtMs: new Float64Array(list.length),
    holders: [],
  };
}

test('each byte of an area is in one piece, with the claim that covers it', () => {
  fc.assert(
    fc.property(ranges, ranges, (areas, claims) => {
      const pieces = cutAtClaims(areasOf(areas), claimsOf(claims));
      expect(pieces.bounds.length).toBe(2 * pieces.length);
      const found: string[] = [];
      for (let piece = 0; piece < pieces.length; piece++) {
        const [start, end] = pieces.bounds.subarray(2 * piece) as unknown as [number, number];
        expect(end).toBeGreaterThan(start);
        for (let byte = start; byte < end; byte++) {
          found.push(`${byte} ${pieces.area[piece]} ${pieces.claim[piece]}`);
        }
      }
      const covering = (list: Ranges, byte: number) =>
        list.findIndex(({ start, end }) => byte >= start && byte < end);
      const expected = areas.flatMap(({ start, end }, area) =>
        Array.from({ length: end - start }, (_, i) => `${start + i} ${area} ${covering(claims, start + i)}`),
      );
      expect(found).toEqual(expected);
    }),
  );
});
