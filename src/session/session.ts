import type { SnapshotDiff } from '../report/diff.js';
import type { FlamegraphFile, FlamegraphFormat } from '../report/flamegraph/formats.js';
import type { FrameFilter } from '../report/frame-filter.js';
import type { HeapLeak, HeapSite } from '../report/heap/sites.js';
import type { PagemapFormat } from '../report/pagemap/pagemap.js';
import type {
  AccountReport,
  HeapPin,
  Snapshot,
  SnapshotHeap,
  SnapshotHeapOwner,
  SnapshotMapping,
  SnapshotOwner,
  TrimReport,
} from '../report/schema.js';
import type { StackSite } from '../report/stacks.js';
import type { HeapMode } from '../wire/heap-mode.js';

export type {
  FlamegraphFile,
  FlamegraphFormat,
  FrameFilter,
  HeapLeak,
  HeapMode,
  HeapSite,
  SnapshotDiff,
  StackSite,
};

export interface LedgerView {
  byOwner(): SnapshotOwner[];
  byStack(): StackSite[];
  at(address: number | string): SnapshotMapping | undefined;
  mark(): Snapshot;
  readonly heap: HeapView;
}

/** What a thread allocated. What it freed of others' counts for the thread that allocated it. */
export interface HeapThread {
  threadId: number;
  liveBytes: number;
  liveAllocations: number;
  allocations: number;
  frees: number;
  temporary: number;
}

/** Live allocations of a size: at least `fromBytes` and less than `belowBytes`; null: no bound. */
export interface HeapSizeBin {
  fromBytes: number;
  belowBytes: number | null;
  liveBytes: number;
  liveAllocations: number;
}

/** Live allocations of an age: at least `fromSeconds` and less than `belowSeconds`; null: no bound. */
export interface HeapAgeBin {
  fromSeconds: number;
  belowSeconds: number | null;
  liveBytes: number;
  liveAllocations: number;
}

/** What the program's allocators have handed out. Figures of sampled recording are estimates, rounded. */
export interface HeapView {
  /**
   * What is recorded; may be set while the process runs. What lives when exact recording is switched off is not
   * followed further: it moves to `before`. Setting throws `HEAP_MODE_UNKNOWN`, `HEAP_UNAVAILABLE`, `PROCESS_ENDED`.
   */
  mode: HeapMode;
  /** Mean of the sampling in bytes. Setting throws `SAMPLE_BYTES_REFUSED` as well. */
  sampleBytes: number;
  totals(): Omit<SnapshotHeap, 'owners' | 'sites'>;
  /** Most live bytes first, 5,000 at most; then all that are smaller, in one row. */
  bySite(limit?: number): HeapSite[];
  byOwner(): SnapshotHeapOwner[];
  byThread(): HeapThread[];
  /** Smallest first. */
  bySize(): HeapSizeBin[];
  /** Youngest first. */
  byAge(): HeapAgeBin[];
  /**
   * The stacks whose survivors keep free memory from going back: pages of which all or nearly all that lives is theirs, most
   * free bytes first. Of mode `exact`. Throws `HEAP_NOT_EXACT`, `HEAP_UNAVAILABLE`, `PROCESS_REFUSED`.
   */
  pins(limit?: number): HeapPin[];
  /** Remembers this moment for `leaks()`; returns its number. */
  mark(): number;
  /**
   * What was allocated since a mark (by default the last one) and lives on, by stack: first the stacks of which nothing
   * was freed since, most bytes first. Throws `NO_MARK`.
   */
  leaks(since?: number): HeapLeak[];
}

export const FLAMEGRAPH_SUBJECTS = ['live', 'growth', 'heap', 'heap-growth'] as const;
export type FlamegraphSubject = (typeof FLAMEGRAPH_SUBJECTS)[number];

export interface FlamegraphOptions<F extends FlamegraphFormat = FlamegraphFormat> {
  /** By default svg. */
  format?: F;
  /**
   * `live`: mapped bytes; `growth`: bytes by which they grew since the last mark; `heap` and `heap-growth`: the same of
   * what allocators have handed out.
   */
  of?: FlamegraphSubject;
  /** Draws native frames alone, or Python's. */
  only?: FrameFilter | undefined;
  /**
   * Draws frames that only lead from one function to the next, of the C library or an interpreter, as one box. Without it,
   * the HTML page begins folded and can be unfolded; the others are not folded.
   */
  foldPlumbing?: boolean | undefined;
}

export interface PagemapOptions {
  format?: PagemapFormat;
}

export interface SessionEvents {
  snapshot: [Snapshot];
  /** An owner's growth crossed the reporting threshold. */
  growth: [SnapshotOwner];
  /** Events were lost or ranges can't be explained. */
  gap: [{ reason: string; bytes: number; ranges?: { start: string; bytes: number }[] }];
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
  /** The same as `ledger.heap`. */
  readonly heap: HeapView;
  /** Frames have the lines of source that were looked up before. */
  snapshot(): Snapshot;
  /**
   * A snapshot of this session with the lines of source of its stacks, or of some of them: looked up now. Snapshots
   * that are taken later have these lines at once.
   */
  withLines(snapshot: Snapshot, stacks?: readonly number[]): Promise<Snapshot>;
  /**
   * Every resident byte, by owner; of a process that has ended, what was last known of it. Throws `PROCESS_REFUSED` where
   * /proc may not be read.
   */
  account(): AccountReport;
  /**
   * Has the process's allocator give free memory back to the kernel (malloc_trim, or what the allocator has in its place),
   * on the next of its threads that allocates. Throws `REQUEST_UNANSWERED` where none does within `limitMs`, 5 seconds by
   * default; `REQUEST_BUSY`, `PROCESS_ENDED`, `PROCESS_REFUSED`.
   */
  trim(options?: { limitMs?: number }): Promise<TrimReport>;
  /**
   * A picture of the heap's pages: what lives there, what is resident though nothing does, what was returned. In mode `exact`
   * page by page; else as far as glibc's heaps tell. Throws `HEAP_UNAVAILABLE`, `NO_HEAP`, `OPTION_REFUSED`, `PROCESS_ENDED`, `PROCESS_REFUSED`.
   */
  pagemap(options?: PagemapOptions): Promise<string>;
  mark(): Snapshot;
  diff(since?: Snapshot): SnapshotDiff;
  /** One whole file: text, or of format pb.gz bytes. Throws `OPTION_REFUSED`, `NO_MARK`. */
  flamegraph<F extends FlamegraphFormat = 'svg'>(options?: FlamegraphOptions<F>): Promise<FlamegraphFile<F>>;
  on<E extends keyof SessionEvents>(event: E, listener: (...args: SessionEvents[E]) => void): this;
  off<E extends keyof SessionEvents>(event: E, listener: (...args: SessionEvents[E]) => void): this;
  close(): Promise<void>;
}
