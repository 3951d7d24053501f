import { expect, test } from 'vitest';
import { apart, labelIn, parseMaps, readMaps } from './maps.js';

const kinds = (lines: string[]) => parseMaps(`${lines.join('\n')}\n`).map(({ path, kind }) => [path, kind]);

test('every field of a line', () => {
  expect(
    parseMaps('7f0011a00000-7f0011a21000 rw-s 0001f000 fd:01 4294967400    /tmp/a b (deleted)\n'),
  ).toEqual([
    {
      start: 0x7f0011a00000,
      end: 0x7f0011a21000,
      readable: true,
      writable: true,
      executable: false,
      shared: true,
      offset: 0x1f000,
      device: 'fd:01',
      inode: 4294967400,
      path: '/tmp/a b',
      deleted: true,
      kind: 'file',
      pageBytes: 4096,
    },
  ]);
});

test('what stands behind a mapping', () => {
  expect(
    kinds([
      '1000-2000 rw-p 00000000 00:00 0 ',
      '1000-2000 ---p 00000000 00:00 0',
      '1000-2000 rw-p 00000000 00:00 0                          [heap]',
      '1000-2000 rw-p 00000000 00:00 0                          [anon:glibc: malloc]',
      '1000-2000 rw-s 00000000 00:01 7                          [anon_shmem:queue]',
      '1000-2000 r-xp 00000000 00:00 0                          [vdso]',
      '1000-2000 rw-p 00000000 00:05 4                          /dev/zero',
      '1000-2000 rw-p 00000000 00:0f 4                          /anon_hugepage (deleted)',
      '1000-2000 rw-s 00000000 00:01 4                          /dev/shm/segment',
      '1000-2000 rw-s 00000000 00:0e 4                          anon_inode:[io_uring]',
      '1000-2000 rw-s 00000000 00:0e 9                          /secretmem (deleted)',
      '1000-2000 rw-s 00000000 00:01 9                          /dev/zero (deleted)',
      '1000-2000 rw-s 00000000 00:05 9                          /dev/nvidia0',
    ]),
  ).toEqual([
    ['', 'anonymous'],
    ['', 'anonymous'],
    ['[heap]', 'anonymous'],
    ['[anon:glibc: malloc]', 'anonymous'],
    ['[anon_shmem:queue]', 'sharedAnonymous'],
    ['[vdso]', 'kernel'],
    ['/dev/zero', 'anonymous'],
    ['/anon_hugepage', 'anonymous'],
    ['/dev/shm/segment', 'sharedFile'],
    ['anon_inode:[io_uring]', 'file'],
    ['/secretmem', 'sharedFile'],
    ['/dev/zero', 'sharedAnonymous'],
    ['/dev/nvidia0', 'file'],
  ]);
});

test('a name with a line feed, and a line cut short', () => {
  const [mapping, ...rest] = parseMaps('1000-2000 r--p 00000000 fd:01 9 /tmp/a\\012b\n2000-3000 r--p 0000');
  expect(mapping?.path).toBe('/tmp/a\nb');
  expect(rest).toEqual([]);
});

test('a mapping that grew towards what was told already is told from there on', () => {
  const lines = [
    '10000-13000 r--p 00000000 fd:01 7 /a',
    '11000-12000 rw-p 00000000 00:00 0 ',
    '11000-15000 r--p 00001000 fd:01 7 /a',
    '14000-18000 rw-p 00000000 00:00 0 ',
  ];
  const ranges = apart(parseMaps(`${lines.join('\n')}\n`)).map(({ start, end, offset }) => [
    start,
    end,
    offset,
  ]);
  expect(ranges).toEqual([
    [0x10000, 0x13000, 0],
    [0x13000, 0x15000, 0x3000],
    [0x15000, 0x18000, 0],
  ]);
});

test('this process: in order, apart from one another, with its program in it', () => {
  const maps = readMaps(process.pid);
  expect(maps.every((mapping, i) => i === 0 || maps[i - 1]!.end <= mapping.start)).toBe(true);
  expect(maps.some(({ path, executable }) => executable && path === process.execPath)).toBe(true);
  expect(maps.filter(({ path }) => path === '[stack]')).toHaveLength(1);
});

test('a process that is not there', () => {
  expect(() => readMaps(0x7fff_fff0)).toThrow(expect.objectContaining({ code: 'PROCESS_MISSING' }));
});

test('the names that the shim gives tell an owner, those of others do not', () => {
  expect(labelIn('[anon:offheap:libucs.so.0]')).toBe('libucs.so.0');
  expect(labelIn('[anon:offheap:python3.11 stack]')).toBe('python3.11 stack');
  expect(['[anon:glibc: malloc]', '[heap]', ''].map(labelIn)).toEqual([null, null, null]);
});
