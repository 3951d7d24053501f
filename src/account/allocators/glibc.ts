import { glibcHeaps, type NativeGlibcHeaps } from '../../wire/addon.js';
import { type ProcMapping, type Range, readMaps } from '../maps.js';
import { measureResidency } from '../residency.js';

/**
 * What glibc's malloc holds in a process, read from outside. Blocks that wait in a thread's cache (tcache) or in a
 * fastbin count as in use: nothing in memory tells them apart.
 */

/** Sizes of one heap or of all; the first five of them add up to the extent. */
export interface GlibcFigures {
  /** What the program may use of blocks in use: as `malloc_usable_size` says. */
  inUseBytes: number;
  /** In bins. */
  freeBytes: number;
  /** The end of a heap: never handed out, or given back. */
  topBytes: number;
  /** Headers of blocks in use, of heaps and arenas. */
  metadataBytes: number;
  /** Within [heap], what others moved the program break for. */
  foreignBytes: number;
  /** Blocks of both kinds, the top left out, and those in use. */
  chunks: number;
  inUseChunks: number;
  /**
   * Of blocks in use, those that are recorded: how many, what was asked for, what their chunks have beyond that, up to the next
   * header or the end of a mapped block's last page, and what of that is in memory. 0 where nothing is recorded; fractions
   * where they are estimated from samples.
   */
  askedBlocks: number;
  askedBytes: number;
  slackBytes: number;
  slackResidentBytes: number;
  /** Square of the standard error of `slackBytes`. */
  slackBytesVariance: number;
  /** What of whole free pages, the top's included, is in memory. */
  retainedResidentBytes: number;
  /** What of that a call of `malloc_trim(0)` would return: it leaves the tops of arenas. */
  trimmableResidentBytes: number;
}

export interface GlibcHeap extends Range, GlibcFigures {
  /** `main`: [heap]; `arena`: of an arena, which may have several; `mapped`: large blocks with mappings of their own. */
  kind: 'main' | 'arena' | 'mapped';
  /** Address of the arena, 0 for the main one and for mapped blocks. */
  arena: number;
  /** Whole free pages, in address order. */
  retained: Range[];
}

export interface GlibcHeaps extends GlibcFigures {
  heaps: GlibcHeap[];
  /** Heaps whose chain of blocks did not close: changed while they were read, damaged, or another allocator's. */
  unread: Range[];
  unreadBytes: number;
}

const KINDS = ['main', 'arena', 'mapped'] as const;
/** Of each heap: kind, start, end, arena, then figures, then what belongs to it in `retained`. */
const GLIBC_HEAP_COLUMNS = 17;
/** How often a heap is read that moved its end between the list of mappings and the reading. */
const ATTEMPTS = 3;

/**
 * Reads all heaps of a process; `mappings` is its list as `readMaps` gives it, `read` the addon's way to do so. The process runs on meanwhile. Throws
 * `PROCESS_MISSING` or `PROCESS_REFUSED`.
 */
export function readGlibcHeaps(
  pid: number,
  mappings: readonly ProcMapping[] = readMaps(pid),
  read = glibcHeaps,
): GlibcHeaps {
  let best = readOnce(pid, mappings, read);
  for (let attempt = 1; attempt < ATTEMPTS && best.unread.length > 0; attempt++) {
    const again = readOnce(pid, readMaps(pid), read);
    if (extent(again.unread) <= extent(best.unread)) best = again;
  }
  const { heaps, unread } = best;
  measureRetained(pid, heaps);
  const sum = (key: keyof GlibcFigures) => heaps.reduce((total, heap) => total + heap[key], 0);
  return {
    heaps,
    inUseBytes: sum('inUseBytes'),
    freeBytes: sum('freeBytes'),
    topBytes: sum('topBytes'),
    metadataBytes: sum('metadataBytes'),
    foreignBytes: sum('foreignBytes'),
    chunks: sum('chunks'),
    inUseChunks: sum('inUseChunks'),
    askedBlocks: sum('askedBlocks'),
    askedBytes: sum('askedBytes'),
    slackBytes: sum('slackBytes'),
    slackResidentBytes: sum('slackResidentBytes'),
    slackBytesVariance: sum('slackBytesVariance'),
    retainedResidentBytes: sum('retainedResidentBytes'),
    trimmableResidentBytes: sum('trimmableResidentBytes'),
    unread,
    unreadBytes: extent(unread),
  };
}

function readOnce(pid: number, mappings: readonly ProcMapping[], read: typeof glibcHeaps) {
  const usable = mappings.filter(
    ({ kind, shared, readable, writable }) => kind === 'anonymous' && !shared && readable && writable,
  );
  const main = joined(usable.filter(({ path }) => path === '[heap]'));
  // A name set by prctl is no hindrance: newer releases name arenas themselves.
  const anonymous = joined(usable.filter(({ path }) => path === '' || path.startsWith('[anon:')));
  return parse(read(pid, main, anonymous));
}

/** Bounds of ranges, touching ones as one: the kernel keeps apart what differs in advice or in name. */
function joined(ranges: readonly Range[]): Float64Array {
  const bounds: number[] = [];
  for (const { start, end } of ranges) {
    if (bounds.at(-1) === start) bounds[bounds.length - 1] = end;
    else bounds.push(start, end);
  }
  return Float64Array.from(bounds);
}

function parse({ heaps, retained, unread }: NativeGlibcHeaps): { heaps: GlibcHeap[]; unread: Range[] } {
  const pages = ranges(retained);
  const parsed: GlibcHeap[] = [];
  let nextPages = 0;
  for (let at = 0; at < heaps.length; at += GLIBC_HEAP_COLUMNS) {
    const own = pages.slice(nextPages, nextPages + heaps[at + 11]!);
    nextPages += own.length;
    parsed.push({
      kind: KINDS[heaps[at]!]!,
      start: heaps[at + 1]!,
      end: heaps[at + 2]!,
      arena: heaps[at + 3]!,
      chunks: heaps[at + 4]!,
      inUseChunks: heaps[at + 5]!,
      inUseBytes: heaps[at + 6]!,
      freeBytes: heaps[at + 7]!,
      topBytes: heaps[at + 8]!,
      metadataBytes: heaps[at + 9]!,
      foreignBytes: heaps[at + 10]!,
      askedBlocks: heaps[at + 12]!,
      askedBytes: heaps[at + 13]!,
      slackBytes: heaps[at + 14]!,
      slackResidentBytes: heaps[at + 15]!,
      slackBytesVariance: heaps[at + 16]!,
      retained: own,
      retainedResidentBytes: 0,
      trimmableResidentBytes: 0,
    });
  }
  return { heaps: parsed, unread: ranges(unread) };
}

function measureRetained(pid: number, heaps: readonly GlibcHeap[]): void {
  const measured = measureResidency(
    pid,
    heaps.flatMap(({ retained }) => retained),
  );
  let next = 0;
  for (const heap of heaps) {
    const topStart = heap.end - heap.topBytes;
    for (const pages of heap.retained) {
      const { residentBytes } = measured[next++]!;
      heap.retainedResidentBytes += residentBytes;
      if (heap.kind === 'main' || pages.start < topStart) heap.trimmableResidentBytes += residentBytes;
    }
  }
}

function ranges(bounds: Float64Array): Range[] {
  return Array.from({ length: bounds.length / 2 }, (_, index) => ({
    start: bounds[2 * index]!,
    end: bounds[2 * index + 1]!,
  }));
}

function extent(list: readonly Range[]): number {
  return list.reduce((bytes, { start, end }) => bytes + end - start, 0);
}
