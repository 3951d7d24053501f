import { expect, test } from 'vitest';
import fc from '../../test/support/properties.js';
import { accountTree } from './account.js';
import type { AccountNode, AccountReport } from './schema.js';
import { stringWidth } from './width.js';

function node(
  kind: AccountNode['kind'],
  name: string,
  residentBytes: number,
  children: AccountNode[] = [],
  swapBytes = 0,
): AccountNode {
  return {
    ...{ kind, name, residentBytes, swapBytes, children },
    ...{ bytes: residentBytes, anonymousBytes: residentBytes, hugePageBytes: 0, ranges: 1 },
  };
}

function account(tree: AccountNode | null, more: Partial<AccountReport> = {}): AccountReport {
  return {
    schema: 'offheap.account/1',
    process: { pid: 7, command: ['decode', '--fast'], state: 'running' },
    takenAt: '2026-01-01T00:00:00.000Z',
    recorded: true,
    totalBytes: 10_000_000,
    anonymousBytes: 9_000_000,
    fileBytes: 1_000_000,
    sharedBytes: 0,
    swapBytes: 0,
    explainedPercent: 99.98,
    unexplainedBytes: 4096,
    owners: [],
    verdict: {
      verdict: 'unknown',
      owner: null,
      stack: null,
      confidence: 0,
      evidence: 'Nothing was seen.',
      frames: [],
    },
    verdicts: [],
    savings: null,
    pins: null,
    unexplained: [],
    tree,
    outside: [],
    differenceBytes: 0,
    changedBytes: 0,
    attempts: 1,
    totalsFrom: 'status',
    special: null,
    problems: [],
    ...more,
  };
}

const TREE = node('process', 'process', 10_000_000, [
  node('allocators', 'allocators', 7_500_000, [
    node('allocator', 'libc.so.6', 7_500_000, [
      node('live', 'live', 5_000_000),
      node('retained', 'free', 2_500_000),
    ]),
  ]),
  node(
    'files',
    'files',
    2_500_000,
    Array.from({ length: 10 }, (_, i) => node('file', `/lib/${i}.so`, 250_000)),
  ),
]);

test('a line for each node, as far in as it is deep, with its share as a bar', () => {
  const lines = accountTree(account(TREE), { columns: 80 }).split('\n');
  expect(lines.slice(0, 3)).toEqual([
    'decode --fast (pid 7), running',
    'resident 10.0 MB · anonymous 9.00 MB · files 1.00 MB · shared 0 B · swapped 0 B',
    'explained 99.9 % of anonymous and swapped memory',
  ]);
  expect(lines.slice(4, 9).map((line) => line.replaceAll(/ +/g, ' ').trim())).toEqual([
    `10.0 MB 100.0 % process ${'█'.repeat(20)}`,
    `7.50 MB 75.0 % allocators ${'█'.repeat(15)}`,
    `7.50 MB 75.0 % libc.so.6 ${'█'.repeat(15)}`,
    `5.00 MB 50.0 % live ${'█'.repeat(10)}`,
    `2.50 MB 25.0 % free ${'█'.repeat(5)}`,
  ]);
  expect(lines.slice(4, 8).map((line) => line.indexOf(line.trim().split(/ +/)[4]!))).toEqual([
    19, 21, 23, 25,
  ]);
  expect(lines.at(-1)).toContain('… 2 more');
});

test('what is unexplained and what is doubtful stands below', () => {
  const range = {
    ...{ start: '0x7f0000', bytes: 8192, residentBytes: 4096, swapBytes: 0, protection: 'rw-p' },
    ...{ owner: 'no stack', kind: 'unexplained' as const, operation: 'none', enclosing: null, threadId: 0 },
    ...{ mappedAt: '2026-01-01T00:00:00.000Z', ageSeconds: null, reserved: false, stack: 0 },
    ...{ below: '/lib/a.so', above: null },
  };
  const text = accountTree(
    account(TREE, { unexplained: [range], differenceBytes: -4096, attempts: 4, problems: ['half\u001b[2J'] }),
    { columns: 200 },
  );
  expect(text).toContain('  7f0000-7f2000 rw-p 4.10 kB of 8.19 kB, above /lib/a.so');
  expect(text).toContain('! the kernel counts -4.10 kB beside the tree');
  expect(text).toContain('! half\\x1b[2J');
});

test('what of the memory is special is told where there is any', () => {
  const none = {
    lazilyFreedBytes: 0,
    mergedBytes: null,
    hugePageBytes: 0,
    lockedBytes: 0,
    sharedSwapBytes: 0,
  };
  const line = (special: AccountReport['special']) =>
    accountTree(account(TREE, { special }), { columns: 120 }).split('\n')[3];
  expect(line(none)).toBe('');
  expect(line({ ...none, lazilyFreedBytes: 2_000_000, mergedBytes: 4096 })).toMatch(
    /^in it: 2\.00 MB freed.* · 4\.10 kB merged/,
  );
});

test('what blocks were asked for is told of each allocator, or why it is not known', () => {
  const asked = {
    ...{ coverage: 'all' as const, allocations: 100_000, bytes: 3_000_000, slackBytes: 1_000_000 },
    ...{ slackErrorBytes: 0, unclassedBytes: 0, unrecordedBytes: 5_000 },
  };
  const allocator = (name: string, more: Partial<AccountNode>) => ({
    ...node('allocator', name, 2_000_000),
    ...more,
  });
  const tree = node('process', 'process', 10_000_000, [
    node('allocators', 'allocators', 10_000_000, [
      allocator('libc.so.6', { asked }),
      allocator('late', { asked: { ...asked, coverage: 'some', slackBytes: null } }),
      allocator('thin', {
        asked: {
          ...asked,
          coverage: 'sampled',
          slackErrorBytes: 20_000,
          unclassedBytes: 7_000,
          unrecordedBytes: null,
        },
      }),
      allocator('python3.11', { askedUnknown: 'it is written nowhere' }),
      { ...allocator('small', { asked }), residentBytes: 1000 },
    ]),
  ]);
  const text = accountTree(account(tree), { columns: 200 });
  expect(text.slice(text.indexOf('what blocks'))).toBe(
    [
      'what blocks in use were asked for:',
      '  libc.so.6: 3.00 MB in 100,000 blocks, slack 1.00 MB (25.0 %)',
      '  late: 3.00 MB in 100,000 blocks, its sizes of blocks are not known, 5.00 kB not recorded, or in caches',
      '  thin: about 3.00 MB in 100,000 blocks, slack about 1.00 MB ± 20.0 kB (25.0 %), slack unknown of 7.00 kB in larger blocks',
      '  python3.11: not known: it is written nowhere',
    ].join('\n'),
  );
});

test('of a process that has ended: who held what, and why there is no more', () => {
  const owner = {
    ...{
      owner: 'libucs.so.0',
      path: null,
      kind: 'library' as const,
      mappings: 1,
      bytes: 1,
      reservedBytes: 0,
    },
    ...{ residentBytes: 5_000_000, growthBytesPerMinute: 0, callers: {}, triggers: {} },
  };
  const text = accountTree(account(null, { owners: [owner], problems: ['the process has ended'] }), {
    columns: 80,
  });
  expect(text).toContain('  5.00 MB  libucs.so.0 (library)');
  expect(text).toContain('! the process has ended');
});

test('no line is wider than the terminal, whatever the names', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 50, max: 200 }), (name, columns) => {
      const tree = node('process', name, 10, [node('files', name, 10, [node('file', name, 10)], 5)]);
      for (const line of accountTree(account(tree, { problems: [name] }), { columns }).split('\n')) {
        expect(stringWidth(line)).toBeLessThanOrEqual(columns);
      }
    }),
  );
});
