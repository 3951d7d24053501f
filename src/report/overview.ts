import { type FrameFilter, onlyFrames } from './frame-filter.js';
import { type HeapSite, heapSites } from './heap/sites.js';
import type { Snapshot, SnapshotHeap } from './schema.js';
import { type StackSite, stackSites } from './stacks.js';

/** What a screen needs of a snapshot: everything but the single mappings, which can be hundreds of thousands. */
export type Overview = Omit<
  Snapshot,
  'schema' | 'mappings' | 'stacks' | 'heap' | 'hints' | 'accountHistory'
> & {
  /** The largest stacks of each owner; most bytes first. */
  sites: StackSite[];
  /** Its sites are the largest. */
  heap: Omit<SnapshotHeap, 'sites'> & { sites: HeapSite[] };
};

const SITES_PER_OWNER = 8;
const HEAP_SITES = 8;

/** Of stacks, those frames that `only` names. */
export function overviewOf(whole: Snapshot, only?: FrameFilter): Overview {
  const snapshot = onlyFrames(whole, only);
  const { process, takenAt, observedSeconds, completeness, rss, owners, verdict, verdicts } = snapshot;
  const taken = new Map<string, number>();
  const sites = stackSites(snapshot).filter(({ kind, owner }) => {
    const key = ownerKey({ kind, owner });
    const count = (taken.get(key) ?? 0) + 1;
    taken.set(key, count);
    return count <= SITES_PER_OWNER;
  });
  const heap = { ...snapshot.heap, sites: heapSites(snapshot, HEAP_SITES) };
  return {
    ...{ process, takenAt, observedSeconds, completeness, rss, owners, verdict, verdicts },
    ...{ sites, heap },
  };
}

/** The stacks that an overview shows, by number. */
export function shownStacks({ sites, heap }: Overview): number[] {
  return [...new Set([...sites, ...heap.sites].map(({ stack }) => stack))];
}

/** An owner's identity: a library and an allocator of the same name are two owners. */
export function ownerKey({ owner, kind }: { owner: string; kind: string }): string {
  return `${kind}\0${owner}`;
}
