import { expect, test } from 'vitest';
import { type AccountKind, type AccountNode, emptyNode, sumOf } from '../account/tree.js';
import { isTorn, memoryMoment } from './memory-moment.js';

const leaf = (kind: AccountKind, name: string, residentBytes: number): AccountNode => ({
  ...emptyNode(kind, name),
  residentBytes,
});

/** An allocator's node: its figure is the kernel's, its parts may be fewer. */
function libc(residentBytes: number, parts: Partial<Record<AccountKind, number>>): AccountNode {
  const node = leaf('allocator', 'libc.so.6', residentBytes);
  node.children = Object.entries(parts).map(([kind, bytes]) => leaf(kind as AccountKind, kind, bytes));
  return node;
}

function tree(allocator: AccountNode): AccountNode {
  return sumOf('process', 'process', [
    sumOf('allocators', 'allocators', [allocator]),
    sumOf('anonymous', 'anonymous memory', [leaf('owner', 'libucs.so.0', 700)]),
    sumOf('files', 'files', [leaf('file', '/usr/lib/x', 900)]),
  ]);
}

const read = tree(libc(100, { live: 30, retained: 40, pinned: 20, metadata: 10 }));
const torn = tree(libc(100, { unread: 100 }));
const recorded = { stack: Uint32Array.of(7), bytes: Float64Array.of(25), ownerOf: () => 'app' };

test('what is recorded lives, what is freed is retained, and files are nobody’s growth', () => {
  expect(memoryMoment(read, recorded)).toEqual({
    live: [],
    liveByStack: recorded,
    retained: [{ owner: 'libc.so.6', stack: null, bytes: 60 }],
    outside: [{ owner: 'libucs.so.0', stack: null, bytes: 700 }],
    unread: [{ owner: 'libc.so.6', stack: null, bytes: 0 }],
    readLiveBytes: 30,
  });
});

test('without a recording the allocator holds what lives', () => {
  expect(memoryMoment(read, null).live).toEqual([{ owner: 'libc.so.6', stack: null, bytes: 30 }]);
});

test('where nobody could look, what is not recorded to live is free; without a recording nothing is known', () => {
  expect(isTorn(torn) && !isTorn(read)).toBe(true);
  expect(memoryMoment(torn, recorded)).toMatchObject({
    retained: [{ owner: 'libc.so.6', stack: null, bytes: 75 }],
    unread: [],
    readLiveBytes: undefined,
  });
  expect(memoryMoment(torn, null)).toMatchObject({
    live: [{ bytes: 0 }],
    unread: [{ owner: 'libc.so.6', stack: null, bytes: 100 }],
    readLiveBytes: undefined,
  });
});
