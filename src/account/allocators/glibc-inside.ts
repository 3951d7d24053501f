import { LIBC_MODULES, matches } from '../../ledger/plumbing.js';
import type { Range } from '../maps.js';
import { measureResidency } from '../residency.js';
import {
  type AskedFigures,
  askedFigures,
  glibcHeapsOf,
  isSlackKnown,
  type Recorded,
  slackName,
} from './asked.js';
import { type GlibcHeap, readGlibcHeaps } from './glibc.js';
import type { AllocatorInside, AllocatorMemory, AllocatorPart, AllocatorReader } from './inside.js';

/** What glibc's malloc uses its resident memory for, by the heaps that lie in memory which is its own. */
export function insideGlibc(recorded: Recorded): AllocatorReader {
  return (pid, memory) =>
    matches(LIBC_MODULES, memory.owner) ? insideHeaps(pid, memory, recorded) : undefined;
}

function insideHeaps(pid: number, memory: AllocatorMemory, recorded: Recorded): AllocatorInside {
  const { heaps, unread } = readGlibcHeaps(pid, memory.areas, glibcHeapsOf(recorded));
  const own = heaps.filter((heap) => lies(heap, memory.ranges));
  const resident = measureResidency(pid, own);
  const asked = askedOf(own, recorded);
  const tellsSlack = typeof asked !== 'string' && isSlackKnown(asked);
  const parts = { live: 0, slack: 0, unrecorded: 0, retained: 0, pinned: 0, metadata: 0 };
  own.forEach((heap, index) => {
    const wholeFreePages = heap.retained.reduce((bytes, { start, end }) => bytes + end - start, 0);
    // Beside a header there is always a page in memory: free bytes that share theirs with a block are resident.
    const pinned = heap.freeBytes + heap.topBytes - wholeFreePages;
    const known = heap.retainedResidentBytes + pinned + heap.metadataBytes + heap.foreignBytes;
    parts.retained += heap.retainedResidentBytes;
    parts.pinned += pinned;
    parts.metadata += heap.metadataBytes;
    // Blocks need not have been written to: what is left in memory is theirs, and no more than they have.
    const inUse = Math.max(0, Math.min(heap.inUseBytes, resident[index]!.residentBytes - known));
    const slack = tellsSlack ? Math.min(inUse, Math.floor(heap.slackResidentBytes)) : 0;
    const unrecorded = Math.min(inUse - slack, unrecordedIn([heap], recorded) ?? 0);
    parts.slack += slack;
    parts.unrecorded += unrecorded;
    parts.live += inUse - slack - unrecorded;
  });
  const part = (kind: AllocatorPart['kind'], name: string, residentBytes: number): AllocatorPart => ({
    ...{ kind, name, residentBytes, swapBytes: 0 },
  });
  const torn = unread.filter((range) => lies(range, memory.ranges));
  const { coverage } = recorded;
  return {
    trimmableBytes: own.reduce((sum, { trimmableResidentBytes }) => sum + trimmableResidentBytes, 0),
    parts: [
      part('live', 'blocks in use', parts.live),
      ...(tellsSlack ? [part('slack', slackName(asked.coverage), parts.slack)] : []),
      // Where all that lives is recorded, it does not live.
      coverage === 'all'
        ? part('cached', 'free in caches of threads', parts.unrecorded)
        : part('live', 'not recorded, or free in caches of threads', parts.unrecorded),
      part('retained', 'free pages that libc keeps', parts.retained),
      part('pinned', 'free beside blocks in use', parts.pinned),
      part('metadata', 'headers', parts.metadata),
    ],
    problems: torn.length === 0 ? [] : [`${torn.length} heaps of ${memory.owner} could not be followed`],
    asked,
  };
}

function askedOf(heaps: readonly GlibcHeap[], recorded: Recorded): AskedFigures | string {
  if (recorded.coverage === 'none') return recorded.reason;
  const sum = (key: 'askedBlocks' | 'askedBytes' | 'slackBytes' | 'slackBytesVariance') =>
    heaps.reduce((total, heap) => total + heap[key], 0);
  const sums = {
    ...{ blocks: sum('askedBlocks'), bytes: sum('askedBytes'), slackBytes: sum('slackBytes') },
    ...{ slackBytesVariance: sum('slackBytesVariance'), unclassedBytes: 0 },
  };
  return askedFigures(recorded.coverage, sums, unrecordedIn(heaps, recorded));
}

/** What of the blocks that look like in use is not among the recorded; null where samples can't tell. */
function unrecordedIn(heaps: readonly GlibcHeap[], { coverage }: Recorded): number | null {
  if (coverage === 'sampled' || coverage === 'none') return null;
  return heaps.reduce(
    (sum, { inUseBytes, askedBytes, slackBytes }) => sum + inUseBytes - askedBytes - slackBytes,
    0,
  );
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
