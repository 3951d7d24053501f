import type { OwnerKind, Snapshot, SnapshotHeap, SnapshotHeapSite } from '../schema.js';
import { frameText } from '../stacks.js';

/** Where no allocation is recorded. */
export const NO_HEAP: SnapshotHeap = {
  mode: 'off',
  sampleBytes: 0,
  estimated: false,
  followedSince: null,
  liveBytes: 0,
  liveAllocations: 0,
  allocations: 0,
  frees: 0,
  temporary: 0,
  allocatedBytes: 0,
  peakBytes: 0,
  standardErrorBytes: 0,
  standardErrorAllocations: 0,
  before: { bytes: 0, allocations: 0 },
  unknownFrees: 0,
  owners: [],
  sites: [],
};

/** Allocations of one stack, its frames as text. */
export interface HeapSite extends SnapshotHeapSite {
  /** Leaf first, `function (module, file:line)`. */
  frames: string[];
}

/** What was allocated from one stack since a mark and lives on. */
export interface HeapLeak {
  stack: number;
  owner: string;
  kind: OwnerKind;
  caller: string | null;
  liveBytes: number;
  liveAllocations: number;
  /** Blocks of this stack that were freed since the mark, however old they were. */
  freed: number;
  neverFreed: boolean;
  /** Leaf first, `function (module, file:line)`. */
  frames: string[];
}

/** The sites of a snapshot, most live bytes first. */
export function heapSites(
  { heap, stacks }: Pick<Snapshot, 'heap' | 'stacks'>,
  limit = Number.POSITIVE_INFINITY,
): HeapSite[] {
  return heap.sites
    .slice(0, limit)
    .map((site) => ({ ...site, frames: (stacks[site.stack] ?? []).map(frameText) }));
}
