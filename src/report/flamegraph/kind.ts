import type { OwnerKind, Snapshot, SnapshotFrame, SnapshotMapping } from '../schema.js';

/** What a frame is drawn as. `plumbing` relays a call for others and never owns memory: it is muted. */
export type FrameKind =
  | 'process'
  | 'program'
  | 'library'
  | 'allocator'
  | 'interpreted'
  | 'kernel'
  | 'plumbing'
  | 'enclosed'
  | 'unknown';

export const KIND_TEXTS: Record<FrameKind, string> = {
  process: 'process',
  program: 'program',
  library: 'library',
  allocator: 'allocator',
  interpreted: 'interpreted code',
  kernel: 'kernel',
  plumbing: 'plumbing (relays, never owns)',
  enclosed: 'inside another operation',
  unknown: 'unknown',
};

const OWNER_KINDS: Record<OwnerKind, FrameKind> = {
  library: 'library',
  allocator: 'allocator',
  // Thread stacks belong to whoever made the thread.
  stack: 'library',
  program: 'program',
  kernel: 'kernel',
  profiler: 'plumbing',
  unexplained: 'unknown',
};

/** The kinds of a stack's frames, leaf first as the stack. */
export interface FrameKinds {
  (stack: readonly SnapshotFrame[], mapping: Pick<SnapshotMapping, 'owner'>): FrameKind[];
  owner(kind: OwnerKind): FrameKind;
}

/**
 * How the snapshot itself classifies modules: an owner's frames are of the owner's kind; what stands between the owner
 * and the kernel is plumbing, since attribution passed it over, and so is every frame of a module that was only ever
 * passed over.
 */
export function frameKinds(snapshot: Pick<Snapshot, 'owners' | 'mappings' | 'stacks'>): FrameKinds {
  const owners = new Map(snapshot.owners.map(({ owner, kind }) => [owner, OWNER_KINDS[kind]]));
  const relays = relayModules(snapshot, owners);

  const classify = (frame: SnapshotFrame): FrameKind => {
    if (frame.language !== 'native') return 'interpreted';
    const owned = owners.get(frame.module);
    if (owned !== undefined) return owned;
    if (relays.has(frame.module)) return 'plumbing';
    // The program's own file is the one that is no shared object; its command may be a link to it.
    return /\.so\b|^\[/.test(frame.module) ? 'library' : 'program';
  };
  const kinds = (stack: readonly SnapshotFrame[], { owner }: Pick<SnapshotMapping, 'owner'>) => {
    const first = stack.findIndex((frame) => frame.module === owner);
    return stack.map((frame, index) => (index < first ? 'plumbing' : classify(frame)));
  };
  return Object.assign(kinds, { owner: (kind: OwnerKind) => OWNER_KINDS[kind] });
}

/** Modules on the kernel's side of some owner that own nothing themselves. */
function relayModules(
  snapshot: Pick<Snapshot, 'mappings' | 'stacks'>,
  owners: ReadonlyMap<string, FrameKind>,
): Set<string> {
  const relays = new Set<string>();
  const seen = new Set<string>();
  for (const { stack, owner } of snapshot.mappings) {
    const key = `${stack}\0${owner}`;
    if (seen.has(key)) continue;
    seen.add(key);
    const frames = snapshot.stacks[stack] ?? [];
    const first = frames.findIndex((frame) => frame.module === owner);
    for (const frame of frames.slice(0, Math.max(0, first))) {
      if (!owners.has(frame.module)) relays.add(frame.module);
    }
  }
  return relays;
}
