import { type HeapChange, heapChange } from './heap/diff.js';
import type { OwnerKind, Snapshot } from './schema.js';

export interface OwnerChange {
  owner: string;
  kind: OwnerKind;
  /** Bytes; positive is growth. */
  bytes: number;
  residentBytes: number;
  mappings: number;
}

/** How each owner changed between two snapshots, most growth first; those that didn't change are left out. */
export interface SnapshotDiff {
  seconds: number;
  owners: OwnerChange[];
  /** Null where the later collector does not know of the blocks that the earlier one knew. */
  heap: HeapChange | null;
}

type Compared = Pick<Snapshot, 'takenAt' | 'owners' | 'heap' | 'stacks'>;

export function diffSnapshots(earlier: Compared, later: Compared): SnapshotDiff {
  const changes = new Map<string, OwnerChange>();
  const add = (snapshot: Pick<Snapshot, 'owners'>, sign: 1 | -1) => {
    for (const { owner, kind, bytes, residentBytes, mappings } of snapshot.owners) {
      const key = `${kind}\0${owner}`;
      const change = changes.get(key) ?? { owner, kind, bytes: 0, residentBytes: 0, mappings: 0 };
      change.bytes += sign * bytes;
      change.residentBytes += sign * residentBytes;
      change.mappings += sign * mappings;
      changes.set(key, change);
    }
  };
  add(later, 1);
  add(earlier, -1);
  return {
    seconds: (Date.parse(later.takenAt) - Date.parse(earlier.takenAt)) / 1000,
    owners: [...changes.values()]
      .filter(({ bytes, residentBytes, mappings }) => bytes !== 0 || residentBytes !== 0 || mappings !== 0)
      .sort((a, b) => b.bytes - a.bytes || b.residentBytes - a.residentBytes),
    heap: heapChange(earlier, later),
  };
}
