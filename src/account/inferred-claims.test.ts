import { expect, test } from 'vitest';
import { inferClaims } from './inferred-claims.js';
import { parseMaps } from './maps.js';

test('names that the shim has given tell owners of a process that nobody watches', () => {
  const areas = parseMaps(`1000-3000 rw-p 00000000 00:00 0 [anon:offheap:libucs.so.0]
3000-4000 rw-p 00000000 00:00 0 [anon:offheap:server stack]
4000-5000 rw-p 00000000 00:00 0 [anon:glibc: malloc]
`);
  const { holders, holderOf } = inferClaims(areas, []);
  expect([...holderOf].map((holder) => [holders[holder]!.owner, holders[holder]!.kind])).toEqual([
    ['libucs.so.0', 'library'],
    ['server', 'stack'],
    ['[anon:glibc: malloc]', 'library'],
  ]);
});
