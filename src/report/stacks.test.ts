import { expect, test } from 'vitest';
import type { SnapshotFrame } from './schema.js';
import { frameText } from './stacks.js';

const frame = (changes: Partial<SnapshotFrame>): SnapshotFrame => ({
  ...{ module: 'libucs.so.0', function: 'ucs_mpool_grow', file: null, line: null, inlined: false },
  ...{ language: 'native', address: '0x7f00', fileAddress: '0x100', ...changes },
});

test.each([
  [{}, 'ucs_mpool_grow (libucs.so.0)'],
  [{ function: null }, '0x100 (libucs.so.0)'],
  [{ file: '/src/ucs/mpool.c', line: 57 }, 'ucs_mpool_grow (libucs.so.0, mpool.c:57)'],
  [{ file: 'mpool.h', line: 9, inlined: true }, 'ucs_mpool_grow (libucs.so.0, mpool.h:9)'],
  [{ language: 'python', function: 'Cache.fill', file: '/srv/app.py', line: 6 }, 'Cache.fill (app.py:6)'],
  [{ language: 'python', function: 'Cache.fill', file: '/srv/app.py' }, 'Cache.fill (app.py)'],
  [{ language: 'java', function: 'app.Main.run', module: '[anon]' }, 'app.Main.run ([anon])'],
] as [Partial<SnapshotFrame>, string][])('%j', (changes, expected) => {
  expect(frameText(frame(changes))).toBe(expected);
});
