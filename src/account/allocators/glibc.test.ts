import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { readMaps } from '../maps.js';
import { readGlibcHeaps } from './glibc.js';

test("this process's heaps add up, lie within its mappings, and their free pages within them", () => {
  const mappings = readMaps(process.pid);
  const { heaps, unread, ...total } = readGlibcHeaps(process.pid, mappings);
  expect(heaps.some(({ kind }) => kind === 'main') || unread.length > 0).toBe(true);
  for (const heap of heaps) {
    const { inUseBytes, freeBytes, topBytes, metadataBytes, foreignBytes, retained } = heap;
    expect(inUseBytes + freeBytes + topBytes + metadataBytes + foreignBytes).toBe(heap.end - heap.start);
    for (const pages of retained) {
      expect(pages.start % 4096).toBe(0);
      expect(pages.start >= heap.start && pages.end <= heap.end).toBe(true);
    }
  }
  expect(total.inUseBytes).toBe(heaps.reduce((sum, { inUseBytes }) => sum + inUseBytes, 0));
  expect(total.retainedResidentBytes).toBeLessThanOrEqual(total.freeBytes + total.topBytes);
  expect(total.trimmableResidentBytes).toBeLessThanOrEqual(total.retainedResidentBytes);
});

test('touching mappings with different names are one heap', () => {
  const mappings = readMaps(process.pid);
  const at = mappings.findIndex(({ path }) => path === '[heap]');
  const heap = mappings[at]!;
  const middle = heap.start + (((heap.end - heap.start) / 2) & ~4095);
  const split = mappings.toSpliced(at, 1, { ...heap, end: middle }, { ...heap, start: middle });
  const { heaps, unread } = readGlibcHeaps(process.pid, split);
  const main = [...heaps.filter(({ kind }) => kind === 'main'), ...unread].find(
    ({ start }) => start === heap.start,
  );
  expect(main!.end).toBeGreaterThan(middle);
});

test('a process that is gone is named as such', async () => {
  const child = spawn('true');
  await once(child, 'exit');
  expect(() => readGlibcHeaps(child.pid!, [])).toThrow(expect.objectContaining({ code: 'PROCESS_MISSING' }));
});
