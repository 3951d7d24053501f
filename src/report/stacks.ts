import type { OwnerKind, Snapshot, SnapshotFrame } from './schema.js';

/** What is live from one stack, inside one enclosing operation. */
export interface StackSite {
  stack: number;
  owner: string;
  kind: OwnerKind;
  enclosing: string | null;
  bytes: number;
  mappings: number;
  /** Leaf first, `function (module)`. */
  frames: string[];
}

/** "ucs_mpool_grow (libucs.so.0)"; the file address stands in for a function without a name. */
export function frameName(frame: SnapshotFrame): string {
  const name = frame.function ?? frame.fileAddress;
  return `${name} (${frame.module})`;
}

/** The snapshot's mappings summed by stack, owner and enclosing operation; most bytes first. */
export function stackSites(snapshot: Pick<Snapshot, 'mappings' | 'stacks'>): StackSite[] {
  const sites = new Map<string, StackSite>();
  for (const mapping of snapshot.mappings) {
    const key = `${mapping.stack}\0${mapping.owner}\0${mapping.kind}\0${mapping.enclosing ?? ''}`;
    let site = sites.get(key);
    if (site === undefined) {
      site = {
        stack: mapping.stack,
        owner: mapping.owner,
        kind: mapping.kind,
        enclosing: mapping.enclosing,
        bytes: 0,
        mappings: 0,
        frames: (snapshot.stacks[mapping.stack] ?? []).map(frameName),
      };
      sites.set(key, site);
    }
    site.bytes += mapping.bytes;
    site.mappings += 1;
  }
  return [...sites.values()].sort((a, b) => b.bytes - a.bytes || a.stack - b.stack);
}
