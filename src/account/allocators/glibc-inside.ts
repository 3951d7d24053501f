import { LIBC_MODULES, matches } from '../../ledger/plumbing.js';
import type { Range } from '../maps.js';
import { measureResidency } from '../residency.js';
import { type GlibcHeap, readGlibcHeaps } from './glibc.js';
import type { AllocatorInside, AllocatorMemory, AllocatorPart } from './inside.js';

/** What glibc's malloc uses its resident memory for, by the heaps that lie in memory which is its own. */
export function insideGlibc(pid: number, memory: AllocatorMemory): AllocatorInside | undefined {
  if (!matches(LIBC_MODULES, memory.owner)) return undefined;
  const { heaps, unread } = readGlibcHeaps(pid, memory.areas);
  const own = heaps.filter((heap) => lies(heap, memory.ranges));
  const resident = measureResidency(pid, own);
  const parts = { live: 0, retained: 0, pinned: 0, metadata: 0 };
  own.forEach((heap, index) => {
    const wholeFreePages = heap.retained.reduce((bytes, { start, end }) => bytes + end - start, 0);
    // Beside a header there is always a page in memory: free bytes that share theirs with a block are resident.
    const pinned = heap.freeBytes + heap.topBytes - wholeFreePages;
    const known = heap.retainedResidentBytes + pinned + heap.metadataBytes + heap.foreignBytes;
    parts.retained += heap.retainedResidentBytes;
    parts.pinned += pinned;
    parts.metadata += heap.metadataBytes;
    // Blocks need not have been written to: what is left in memory is theirs, and no more than they have.
    parts.live += Math.max(0, Math.min(heap.inUseBytes, resident[index]!.residentBytes - known));
  });
  const part = (kind: keyof typeof parts, name: string): AllocatorPart => ({
    ...{ kind, name, residentBytes: parts[kind], swapBytes: 0 },
  });
  const torn = unread.filter((range) => lies(range, memory.ranges));
  return {
    trimmableBytes: own.reduce((sum, { trimmableResidentBytes }) => sum + trimmableResidentBytes, 0),
    parts: [
      part('live', 'blocks in use'),
      part('retained', 'free pages that libc keeps'),
      part('pinned', 'free beside blocks in use'),
      part('metadata', 'headers'),
    ],
    problems: torn.length === 0 ? [] : [`${torn.length} heaps of ${memory.owner} could not be followed`],
  };
}

/** Whether a range lies within ranges that are sorted; neighbours count as one. */
function lies({ start, end }: Pick<GlibcHeap, keyof Range>, ranges: readonly Range[]): boolean {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ranges[middle]!.end <= start) low = middle + 1;
    else high = middle;
  }
  let at = start;
  for (; low < ranges.length && ranges[low]!.start <= at && at < end; low++) at = ranges[low]!.end;
  return at >= end;
}
