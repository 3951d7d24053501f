import { expect, test } from 'vitest';
import { type GlibcHeap, type GlibcHeaps, readGlibcHeaps } from '../src/account/allocators/glibc.js';
import type { Range } from '../src/account/maps.js';
import { measureResidency } from '../src/account/residency.js';
import { buildC } from './support/build.js';
import { Running } from './support/running.js';

/** What malloc says of itself, in a program that stands still. */
interface OwnCount {
  total: Record<'arena' | 'free' | 'fast' | 'top' | 'mapped' | 'mappedBytes', number>;
  arenas: { systemBytes: number; inUseBytes: number; freeChunks: number }[];
}

async function quietTarget(): Promise<{ target: Running; own: OwnCount }> {
  const target = new Running(buildC('glibc_arenas'), ['quiet']);
  await target.line(/^ready/);
  await target.complaint(/max mmap bytes.*\n/);
  const [, line] = /^(arena .*)$/m.exec(target.stdout)!;
  const total = Object.fromEntries(
    [...line!.matchAll(/(\w+) (\d+)/g)].map(([, name, value]) => [name!, Number(value)]),
  ) as OwnCount['total'];
  const freeChunks = [...target.stdout.matchAll(/<heap nr.*?type="rest" count="(\d+)"/gs)].map(
    // The top is one of them.
    ([, count]) => Number(count) - 1,
  );
  const arenas = [
    ...target.stderr.matchAll(/Arena (\d+):\nsystem bytes\s+=\s+(\d+)\nin use bytes\s+=\s+(\d+)/g),
  ].map(([, number, systemBytes, inUseBytes]) => ({
    systemBytes: Number(systemBytes),
    inUseBytes: Number(inUseBytes),
    freeChunks: freeChunks[Number(number)]!,
  }));
  return { target, own: { total, arenas } };
}

const extent = ({ start, end }: Range) => end - start;
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

function expectSums({ heaps, unread }: GlibcHeaps): void {
  for (const heap of heaps) {
    expect(heap.inUseBytes + heap.freeBytes + heap.topBytes + heap.metadataBytes + heap.foreignBytes).toBe(
      extent(heap),
    );
    expect(heap.retainedResidentBytes).toBeLessThanOrEqual(heap.freeBytes + heap.topBytes);
    expect(heap.inUseChunks).toBeLessThanOrEqual(heap.chunks);
  }
  const ordered = [...heaps, ...unread].sort((a, b) => a.start - b.start);
  for (const [index, range] of ordered.slice(1).entries()) {
    expect(range.start).toBeGreaterThanOrEqual(ordered[index]!.end);
  }
}

function countOf(heaps: readonly GlibcHeap[]) {
  return {
    systemBytes: sum(heaps.map(extent)),
    inUseBytes: sum(heaps.map((heap) => heap.inUseBytes + heap.metadataBytes + heap.foreignBytes)),
    freeChunks: sum(heaps.map(({ chunks, inUseChunks }) => chunks - inUseChunks)),
  };
}

const bySize = (a: { systemBytes: number; inUseBytes: number }, b: typeof a) =>
  a.systemBytes - b.systemBytes || a.inUseBytes - b.inUseBytes;

test('what is read from outside is what malloc itself counts, arena by arena', async () => {
  const { target, own } = await quietTarget();
  const read = readGlibcHeaps(target.pid);
  expect(read.unread).toEqual([]);
  expectSums(read);

  const arenas = groupByArena(read.heaps.filter(({ kind }) => kind !== 'mapped'));
  expect([...arenas.values()].map(countOf).sort(bySize)).toEqual([...own.arenas].sort(bySize));
  // More than one heap each, and memory that isn't malloc's in the main one.
  expect(read.heaps.filter(({ kind }) => kind === 'arena').length).toBeGreaterThan(arenas.size - 1);
  expect(read.foreignBytes).toBeGreaterThanOrEqual(5000);
  expect(own.total.fast).toBe(0);
  expect(read.freeBytes + read.topBytes).toBe(own.total.free);
  expect(read.heaps.find(({ kind }) => kind === 'main')!.topBytes).toBe(own.total.top);

  const mapped = read.heaps.filter(({ kind }) => kind === 'mapped');
  expect(sum(mapped.map(({ chunks }) => chunks))).toBe(own.total.mapped);
  expect(sum(mapped.map(extent))).toBe(own.total.mappedBytes);
  expect(own.total.mapped).toBe(5);
});

function groupByArena(heaps: readonly GlibcHeap[]): Map<number, GlibcHeap[]> {
  const groups = new Map<number, GlibcHeap[]>();
  for (const heap of heaps) groups.set(heap.arena, [...(groups.get(heap.arena) ?? []), heap]);
  return groups;
}

test('malloc_trim returns what it is said to return', async () => {
  const { target } = await quietTarget();
  const { heaps, trimmableResidentBytes } = readGlibcHeaps(target.pid);
  const resident = () => sum(measureResidency(target.pid, heaps).map(({ residentBytes }) => residentBytes));
  const before = resident();
  target.write('t');
  await target.line(/^trimmed/);
  expect(before - resident()).toBe(trimmableResidentBytes);
  expect(trimmableResidentBytes).toBeGreaterThan(10e6);
  // Nothing is left to return, and looking has not brought anything back.
  expect(readGlibcHeaps(target.pid).trimmableResidentBytes).toBeLessThanOrEqual(4096);
  expect(before - resident()).toBe(trimmableResidentBytes);
});

test('heaps that change all the while are read soundly, or counted as unread', async () => {
  const target = new Running(buildC('glibc_arenas'), ['busy']);
  const [, kept] = await target.line(/^kept (\d+)/);
  await target.line(/^ready/);
  let soundReadings = 0;
  for (let round = 0; round < 40; round++) {
    const read = readGlibcHeaps(target.pid);
    expectSums(read);
    const arenas = read.heaps.filter(({ kind }) => kind === 'arena');
    // All four, read or not: each 2000 kept blocks of 1000 bytes, and at most 500 others of up to 200,000 bytes.
    expect(
      arenas.length + read.unread.filter(({ start }) => start % (64 << 20) === 0).length,
    ).toBeGreaterThanOrEqual(4);
    for (const { inUseBytes, inUseChunks } of arenas) {
      expect(inUseBytes).toBeGreaterThanOrEqual(Number(kept) / 4);
      expect(inUseBytes).toBeLessThan(Number(kept) / 4 + 500 * 200_000);
      expect(inUseChunks).toBeGreaterThanOrEqual(2000);
      // Those that are cached: 7 of each of 64 sizes, and some in fastbins.
      expect(inUseChunks).toBeLessThan(2000 + 500 + 64 * 7 + 500);
    }
    soundReadings += arenas.length;
  }
  expect(soundReadings).toBeGreaterThan(0);
});
