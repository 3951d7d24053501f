import type { Snapshot, SnapshotMapping, SnapshotOwner } from '../report/schema.js';

/** What `diff` says: how each owner changed since a mark. Bytes; positive is growth. */
export interface SnapshotDiff {
  seconds: number;
  owners: {
    owner: string;
    kind: SnapshotOwner['kind'];
    bytes: number;
    residentBytes: number;
    mappings: number;
  }[];
}

export interface StackSite {
  stack: number;
  owner: string;
  kind: SnapshotOwner['kind'];
  enclosing: string | null;
  bytes: number;
  mappings: number;
  /** Leaf first, `function (module)`. */
  frames: string[];
}

export interface LedgerView {
  byOwner(): SnapshotOwner[];
  byStack(): StackSite[];
  at(address: number | string): SnapshotMapping | undefined;
  mark(): Snapshot;
}

export type FlamegraphFormat = 'svg' | 'html' | 'folded';

export interface FlamegraphOptions {
  format?: FlamegraphFormat;
  /** `live`: live bytes; `growth`: bytes by which live ones grew since the last mark. */
  of?: 'live' | 'growth';
}

export interface SessionEvents {
  snapshot: [Snapshot];
  /** An owner's growth crossed the reporting threshold. */
  growth: [SnapshotOwner];
  /** Events were lost or ranges can't be explained. */
  gap: [{ reason: string; bytes: number }];
  exit: [{ state: 'exited' | 'killed'; exit: number | null }];
}

/** One watched process. */
export interface Session {
  readonly pid: number;
  readonly ledger: LedgerView;
  snapshot(): Snapshot;
  account(): Snapshot['rss'] & { owners: SnapshotOwner[]; unexplained: SnapshotMapping[] };
  mark(): Snapshot;
  diff(since?: Snapshot): SnapshotDiff;
  flamegraph(options?: FlamegraphOptions): Promise<string>;
  on<E extends keyof SessionEvents>(event: E, listener: (...args: SessionEvents[E]) => void): this;
  off<E extends keyof SessionEvents>(event: E, listener: (...args: SessionEvents[E]) => void): this;
  close(): Promise<void>;
}
