import type { OwnerKind, Snapshot } from '../schema.js';
import { frameName } from '../stacks.js';
import { type HeapSite, heapSites } from './sites.js';

/** A stack from which more lives than before. */
export interface HeapSiteGrowth {
  owner: string;
  kind: OwnerKind;
  bytes: number;
  allocations: number;
  /** Standard error of `bytes`; 0 where all is recorded. */
  standardErrorBytes: number;
  /** Leaf first, `function (module)`. */
  frames: string[];
}

/** How the live allocations changed between two snapshots. */
export interface HeapChange {
  bytes: number;
  allocations: number;
  standardErrorBytes: number;
  /** Those that grew, most bytes first, 100 at most; of estimates only what is more than chance. */
  grown: HeapSiteGrowth[];
}

const MOST_SITES = 100;
/** Of estimates, what is within so many standard errors may be chance. */
const CHANCE_ERRORS = 2;

/** Null where the two don't speak of the same blocks, since another collector came in between. */
export function heapChange(
  earlier: Pick<Snapshot, 'heap' | 'stacks'>,
  later: Pick<Snapshot, 'heap' | 'stacks'>,
): HeapChange | null {
  // Snapshots of older versions don't say it.
  if ((earlier.heap.followedSince ?? null) !== (later.heap.followedSince ?? null)) return null;
  const before = new Map(heapSites(earlier).map((site) => [keyOf(site, earlier.stacks), site]));
  const grown = heapSites(later)
    .map((site) => growthOf(site, before.get(keyOf(site, later.stacks))))
    .filter(({ bytes, standardErrorBytes }) => bytes > CHANCE_ERRORS * standardErrorBytes)
    .sort((a, b) => b.bytes - a.bytes);
  return {
    bytes: later.heap.liveBytes - earlier.heap.liveBytes,
    allocations: later.heap.liveAllocations - earlier.heap.liveAllocations,
    standardErrorBytes: combined(later.heap.standardErrorBytes, earlier.heap.standardErrorBytes),
    grown: grown.slice(0, MOST_SITES),
  };
}

/** By what the frames say: numbers of stacks differ between two recordings, and not each was asked for lines of source. */
function keyOf({ owner, stack }: HeapSite, stacks: Snapshot['stacks']): string {
  const called = (stacks[stack] ?? []).filter(({ inlined }) => !inlined);
  return [owner, ...called.map(frameName)].join('\n');
}

function growthOf(now: HeapSite, before: HeapSite | undefined): HeapSiteGrowth {
  const { owner, kind, frames } = now;
  return {
    owner,
    kind,
    bytes: now.liveBytes - (before?.liveBytes ?? 0),
    allocations: now.liveAllocations - (before?.liveAllocations ?? 0),
    standardErrorBytes: combined(now.standardErrorBytes, before?.standardErrorBytes ?? 0),
    frames,
  };
}

function combined(one: number, other: number): number {
  return Math.round(Math.hypot(one, other));
}
