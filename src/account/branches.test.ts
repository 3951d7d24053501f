import { expect, test } from 'vitest';
import { Branches } from './branches.js';
import { parseMaps } from './maps.js';
import { cutAtClaims } from './pieces.js';
import type { Reading } from './reading.js';

const NONE = { totalBytes: 0, anonymousBytes: 0, fileBytes: 0, sharedBytes: 0, swapBytes: 0 };

/** Each area is one holder's, with one page resident. */
function reading(text: string, owners: string[]): Reading {
  const areas = parseMaps(text);
  const holder = (owner: string) => ({
    ...{ owner, path: null, kind: 'library' as const, caller: null, enclosing: null, isFile: false },
  });
  const claims = {
    bounds: Float64Array.from(areas.flatMap(({ start, end }) => [start, end])),
    holderOf: Uint32Array.from(areas, (_, index) => index),
    reserved: new Uint8Array(areas.length),
    originOf: Float64Array.from(areas, (_, index) => index),
    mappedAtMs: new Float64Array(areas.length),
    holders: owners.map(holder),
  };
  const pieces = cutAtClaims(areas, claims);
  return {
    ...{ areas, claims, pieces, totals: NONE, totalsFrom: 'status', differenceBytes: 0, changedBytes: 0 },
    pageBytes: Float64Array.from({ length: 4 * pieces.length }, (_, column) => (column % 4 === 0 ? 4096 : 0)),
    outsideBytes: new Float64Array(pieces.length),
    attempts: 1,
  };
}

test('names that somebody gave to memory stand below its owner, with what has none', () => {
  const text = `1000-3000 rw-p 00000000 00:00 0 [anon:Go: heap]
3000-4000 rw-p 00000000 00:00 0 [anon:Go: stack]
4000-6000 rw-p 00000000 00:00 0
6000-7000 rw-p 00000000 00:00 0 [anon:Go: heap]
8000-9000 rw-p 00000000 00:00 0 [anon:dalvik]
`;
  const sample = reading(text, ['server', 'server', 'server', 'server', '[anon:dalvik]']);
  const branches = new Branches(sample, () => []);
  for (let piece = 0; piece < sample.pieces.length; piece++) branches.add(piece);
  const [anonymous] = branches.tree().children;
  const [server, dalvik] = anonymous!.children;
  const figures = ({ name, bytes, residentBytes, ranges }: (typeof server & {})['children'][number]) =>
    [name, bytes, residentBytes, ranges] as const;
  expect(figures(server!)).toEqual(['server', 0x6000, 4 * 4096, 4]);
  expect(server!.children.map(figures)).toEqual([
    ['[anon:Go: heap]', 0x3000, 2 * 4096, 2],
    ['without a name', 0x2000, 4096, 1],
    ['[anon:Go: stack]', 0x1000, 4096, 1],
  ]);
  // Where nobody knows better, the name is the owner.
  expect(figures(dalvik!)).toEqual(['[anon:dalvik]', 0x1000, 4096, 1]);
  expect(dalvik!.children).toEqual([]);
});
