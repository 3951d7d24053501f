import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, test } from 'vitest';
import { type Account, takeAccount } from '../src/account/account.js';
import { inferClaims } from '../src/account/inferred-claims.js';
import { readMaps } from '../src/account/maps.js';
import { readPages } from '../src/account/pages.js';
import type { Ways } from '../src/account/reading.js';
import { readThreadStacks } from '../src/account/thread-stacks.js';
import type { AccountNode } from '../src/account/tree.js';
import { checkSums } from './support/account.js';
import { buildC } from './support/build.js';
import { scratchFolder } from './support/offheap.js';
import { Running } from './support/running.js';

const PAGE = 4096;
const WAYS: Record<string, Ways> = {
  'asked, scanned': {},
  'text, scanned': { maps: 'text' },
  'asked, entries': { pages: 'entries' },
  'text, entries': { maps: 'text', pages: 'entries' },
};

interface Area {
  start: number;
  end: number;
}

/** The program that has memory of each sort, with where it lies. */
async function memoryKinds(): Promise<{ pid: number; areas: Map<string, Area> }> {
  const file = join(scratchFolder(), 'sixteen-pages');
  writeFileSync(file, Buffer.alloc(16 * PAGE, 7));
  const running = new Running(buildC('memory_kinds'), [file]);
  await running.line(/^READY$/);
  // Until both threads sleep they still write to their stacks, and the kernel does not tell where those are.
  const sleeps = () => {
    const threads = readThreadStacks(running.pid);
    return threads.length === 2 && threads.every(({ stackPointer }) => stackPointer !== null);
  };
  while (!sleeps() || !readThreadStacks(running.pid).some(({ name }) => name === 'sleeper')) await sleep(1);
  const areas = [...running.stdout.matchAll(/^(\S+) (0x[0-9a-f]+) (\d+)$/gm)].map(
    ([, name, start, bytes]) =>
      [name!, { start: Number(start), end: Number(start) + Number(bytes) }] as const,
  );
  // What this kernel does not offer has no bytes.
  return { pid: running.pid, areas: new Map(areas.filter(([, { start, end }]) => end > start)) };
}

beforeAll(() => void buildC('memory_kinds'));

test('asked mapping by mapping, the kernel says what its text says', async () => {
  const { pid } = await memoryKinds();
  const asked = readMaps(pid);
  expect(asked).toEqual(readMaps(pid, 'text'));
  expect(asked.length).toBeGreaterThan(20);
  expect(asked.find(({ path }) => path.startsWith('/memfd:'))?.path).toBe('/memfd:queue');
});

/** Pages of each sort of memory: anonymous, of files, in swap. */
const PAGES: Record<string, [number, number, number]> = {
  private: [10, 0, 0],
  guarded: [12, 0, 0],
  'lazily-freed': [16, 0, 0],
  shared: [0, 7, 0],
  memfd: [0, 6, 0],
  segment: [0, 5, 0],
  'file-shared': [0, 16, 0],
  'file-private': [3, 13, 0],
  reserved: [0, 0, 0],
  secret: [0, 2, 0],
  'zero-private': [4, 0, 0],
  'zero-shared': [0, 3, 0],
};

test.for(['scan', 'entries'] as const)('by %s: each page is what it is', async (way, { annotate }) => {
  const { pid, areas } = await memoryKinds();
  // The kernel tells entries' frames, and so the page of zeros, only to who may know them.
  const seesFrames = way === 'scan' || process.getuid?.() === 0;
  for (const [name, pages] of Object.entries(PAGES)) {
    const area = areas.get(name);
    if (area === undefined || (name === 'private' && !seesFrames)) {
      await annotate(`${name}: not on this kernel, or not for this user`);
      continue;
    }
    const { bytes } = readPages(pid, Float64Array.of(area.start, area.end), way);
    expect([name, ...bytes.subarray(0, 3)]).toEqual([name, ...pages.map((count) => count * PAGE)]);
  }
  const pagedOut = areas.get('paged-out')!;
  const { bytes: paged } = readPages(pid, Float64Array.of(pagedOut.start, pagedOut.end), way);
  expect([paged[0]! + paged[2]!, paged[1]]).toEqual([16 * PAGE, 0]);
  const huge = areas.get('huge')!;
  const { bytes } = readPages(pid, Float64Array.of(huge.start, huge.end), 'scan');
  expect([0, bytes[0]]).toContain(bytes[3]);
});

test('pages between the ranges are told, pages of neighbours stay apart', async () => {
  const { pid, areas } = await memoryKinds();
  const { start } = areas.get('private')!;
  // Written: pages 0 to 9. Asked for 0 to 2, 2 to 5 and 8 to 64.
  const bounds = [0, 2, 2, 5, 8, 64].map((page) => start + page * PAGE);
  const { bytes, betweenBytes } = readPages(pid, Float64Array.from(bounds));
  expect([bytes[0], bytes[4], bytes[8]]).toEqual([2, 3, 2].map((pages) => pages * PAGE));
  // A kernel that is asked entry by entry, before Linux 6.7, tells of what was asked for alone.
  const isOld = process.env.OFFHEAP_OTHER_KERNEL !== undefined;
  expect(isOld ? [0, 3 * PAGE] : [3 * PAGE]).toContain(betweenBytes);
});

test('ranges that overlap are refused', () => {
  expect(() => readPages(process.pid, Float64Array.of(0, PAGE * 2, PAGE, PAGE * 3))).toThrow(RangeError);
});

const accountOf = (pid: number, ways: Ways): Account =>
  takeAccount(pid, (areas) => inferClaims(areas, readThreadStacks(pid)), { ways });

test.for(Object.entries(WAYS))('%s: the tree adds up to the kernel’s figure', async ([, ways]) => {
  const { pid } = await memoryKinds();
  const account = accountOf(pid, ways);
  const { totals, tree } = account;
  expect(account.differenceBytes).toBe(0);
  expect(tree.residentBytes + tree.swapBytes).toBe(totals.totalBytes + totals.swapBytes);
  expect(tree.anonymousBytes).toBe(totals.anonymousBytes);
  checkSums(tree);
  // Entries do not tell which pages are huge.
  expect(withoutHugePages(tree)).toEqual(withoutHugePages(accountOf(pid, {}).tree));
});

function withoutHugePages(node: AccountNode): AccountNode {
  return { ...node, hugePageBytes: 0, children: node.children.map(withoutHugePages) };
}

test('each sort of memory stands in its branch', async () => {
  const { pid, areas } = await memoryKinds();
  const { tree, special } = accountOf(pid, {});
  const branch = (kind: string) => tree.children.find((child) => child.kind === kind);
  const child = (kind: string, name: RegExp) => branch(kind)?.children.find((each) => name.test(each.name));
  expect(child('shared', /memfd:queue/)?.residentBytes).toBe(6 * PAGE);
  expect(child('files', /sixteen-pages/)).toMatchObject({
    residentBytes: 32 * PAGE,
    anonymousBytes: 3 * PAGE,
    bytes: 32 * PAGE,
  });
  expect(child('thread-stacks', /^thread \d+ sleeper$/)?.residentBytes).toBeGreaterThan(0);
  if (areas.has('secret')) {
    expect(child('shared', /^secret \(memfd_secret\)$/)?.residentBytes).toBe(2 * PAGE);
  }
  if (areas.has('io_uring'))
    expect(branch('devices')?.children.map(({ name }) => name)).toContain('anon_inode:[io_uring]');
  expect(special?.lazilyFreedBytes).toBe(8 * PAGE);
  // No file's data go on in what another area of memory follows.
  expect(
    branch('anonymous')!
      .children.map(({ name }) => name)
      .sort(),
  ).toEqual(['libc.so.6']);
  expect(branch('main-stack')?.residentBytes).toBeGreaterThan(0);
  expect(branch('kernel')?.children.map(({ name }) => name)).toContain('[vdso]');
  expect(child('allocators', /^libc\.so\.6$/)?.residentBytes).toBeGreaterThan(0);
});

test('what nobody recorded is listed with its neighbours', async () => {
  const { pid, areas } = await memoryKinds();
  const { unexplained } = accountOf(pid, {});
  const { start, end } = areas.get('private')!;
  expect(unexplained.find((range) => range.start === start)).toMatchObject({
    end,
    residentBytes: 10 * PAGE,
    protection: 'rw-p',
    below: 'unexplained',
    above: 'unexplained',
  });
});
