import type { SnapshotDiff } from '../report/diff.js';
import type { FlamegraphFormat } from '../report/flamegraph/flamegraph.js';
import type { Snapshot, SnapshotMapping, SnapshotOwner } from '../report/schema.js';
import type { StackSite } from '../report/stacks.js';

export type { FlamegraphFormat, SnapshotDiff, StackSite };

export interface LedgerView {
  byOwner(): SnapshotOwner[];
  byStack(): StackSite[];
  at(address: number | string): SnapshotMapping | undefined;
  mark(): Snapshot;
}

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
  /** The target was sent the signal that OFFHEAP_SIGNAL names: it wants a flame graph. */
  flamegraph: [];
  /** A process that this one or its children have started is watched from now on. Of launched sessions only. */
  child: [Session];
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
